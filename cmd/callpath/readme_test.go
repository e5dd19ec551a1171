package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What the README shows of scenario files must run.
func TestTheScenarioOfTheReadmeRuns(t *testing.T) {
	data, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(data), -1)
	if len(blocks) == 0 {
		t.Fatal("the README has no YAML")
	}
	for _, block := range blocks {
		if code, out, errOut := callpath(t, "run", file(t, "readme.yaml", block[1])); code != exitMet {
			t.Errorf("exit code %d, wanted 0: %s%s", code, out, errOut)
		}
	}
}

// And what it shows of the configuration of serve must be one.
func TestTheConfigurationOfTheReadmeIsValid(t *testing.T) {
	data, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```\n((?:identity|meetings):\n.*?)```").FindAllStringSubmatch(string(data), -1)
	if len(blocks) == 0 {
		t.Fatal("the README has no configuration of serve")
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"carol.password": "a password", "carol.totp": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
		"shop.secret": "a secret of the shop with 32 bytes", "dlp.yaml": "name: cards\nrules:\n  - {name: cards, content: [{type: payment-card}], action: block}\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, block := range blocks {
		config := filepath.Join(dir, "callpath.yaml")
		if err := os.WriteFile(config, []byte(block[1]), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, out, errOut := callpath(t, "serve", "--check", "--config="+config, "--state="+filepath.Join(dir, "state")); code != exitMet {
			t.Errorf("exit code %d, wanted 0: %s%s", code, out, errOut)
		}
	}
}

func TestTheReadmeNamesEveryCommand(t *testing.T) {
	data, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range newRoot(nil, nil).Commands() {
		if !c.Hidden && !strings.Contains(string(data), "callpath "+c.Name()) {
			t.Errorf("the README says nothing of callpath %s", c.Name())
		}
	}
}
