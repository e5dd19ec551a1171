package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/scenarios/report"
	"github.com/callpath/callpath/scenarios/result"
	"github.com/callpath/callpath/scenarios/runner"
)

// ownPath is the path of a file that each run writes for itself: the one of the
// flag when there is one run, or else with the job's name before the extension.
func ownPath(path, name string, several bool) string {
	if path == "" || !several {
		return path
	}
	ext := filepath.Ext(path)
	return strings.TrimSuffix(path, ext) + "-" + name + ext
}

// checkOutputs finds out, before anything runs, whether every file that the flags
// name can be written, and that none would take the place of another or of an
// input. It leaves no file behind.
func checkOutputs(f runFlags, jobs []job) error {
	taken := map[string]string{}
	for _, j := range jobs {
		if path, err := filepath.Abs(j.scenario.File); err == nil {
			taken[path] = "the scenario " + j.scenario.Name
		}
	}
	check := func(flag, path string, probe func(string) error) error {
		if path == "" {
			return nil
		}
		abs, err := filepath.Abs(path)
		if err != nil {
			return fmt.Errorf("%s: %w", flag, err)
		}
		if isDevice(path) {
			return nil // which several may share, as /dev/null
		}
		if other, ok := taken[abs]; ok {
			return fmt.Errorf("%s %s: the file is that of %s too", flag, path, other)
		}
		taken[abs] = flag
		if err := probe(path); err != nil {
			return fmt.Errorf("%s: %w", flag, err)
		}
		return nil
	}
	errs := []error{check("--junit", f.junit, probeWhole), check("--report", f.html, probeWhole)}
	for _, j := range jobs {
		errs = append(errs,
			check("--pcap", ownPath(f.pcap, j.name, len(jobs) > 1), probeFile),
			check("--keylog", ownPath(f.keyLog, j.name, len(jobs) > 1), probeKeyLog))
	}
	return errors.Join(errs...)
}

// isDevice is true for what is there and is neither a file nor a folder: a device
// or a pipe, which is written to and never replaced.
func isDevice(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.Mode().IsRegular() && !info.IsDir()
}

func probeFile(path string) error {
	_, err := os.Stat(path)
	isNew := errors.Is(err, fs.ErrNotExist)
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	err = file.Close()
	if isNew {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

func probeKeyLog(path string) error {
	_, err := os.Lstat(path)
	isNew := errors.Is(err, fs.ErrNotExist)
	file, err := negotiation.KeyLogFile(path)
	if err != nil {
		return err
	}
	err = file.Close()
	if isNew {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

func probeWhole(path string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return fmt.Errorf("%s is a directory", path)
	}
	file, err := beside(path)
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), os.Remove(file.Name()))
}

// beside makes a file that can take the place of path.
func beside(path string) (*os.File, error) {
	return os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
}

// files are the capture and the key log of one run.
type files []io.Closer

func openFiles(f runFlags, name string, several bool, options *runner.Options) (files, error) {
	var open files
	if f.pcap != "" {
		file, err := os.Create(ownPath(f.pcap, name, several))
		if err != nil {
			return nil, err
		}
		open = append(open, file)
		options.Capture = file
	}
	if f.keyLog != "" {
		file, err := negotiation.KeyLogFile(ownPath(f.keyLog, name, several))
		if err != nil {
			_ = open.close()
			return nil, err
		}
		open = append(open, file)
		options.KeyLog = file
	}
	return open, nil
}

func (f files) close() error {
	var errs []error
	for _, c := range f {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// writeReports prints the runs, and writes the files that were asked for. One that
// cannot be written does not keep the others from it.
func writeReports(out io.Writer, f runFlags, runs []*result.Run) error {
	var errs []error
	for _, r := range []struct {
		path  string
		write func(io.Writer, []*result.Run) error
	}{{f.junit, report.JUnit}, {f.html, report.HTML}} {
		if r.path != "" {
			errs = append(errs, writeWhole(r.path, func(w io.Writer) error { return r.write(w, runs) }))
		}
	}
	if f.json {
		errs = append(errs, report.JSON(out, runs))
	} else {
		errs = append(errs, report.Text(out, runs, report.Options{Width: terminalWidth(out), Color: colored(out), Verbose: f.verbose}))
	}
	return errors.Join(errs...)
}

// writeWhole writes a file so that it is there whole or not at all. A link keeps
// its place, and a device or a pipe is written to.
func writeWhole(path string, write func(io.Writer) error) error {
	if err := replace(path, write); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func replace(path string, write func(io.Writer) error) error {
	if isDevice(path) {
		device, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return errors.Join(write(device), device.Close())
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	file, err := beside(path)
	if err != nil {
		return err
	}
	err = errors.Join(write(file), file.Close())
	if err == nil {
		err = os.Chmod(file.Name(), 0o644)
	}
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		_ = os.Remove(file.Name())
	}
	return err
}
