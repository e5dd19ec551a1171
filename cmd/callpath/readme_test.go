package main

import (
	"os"
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
