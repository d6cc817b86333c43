package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/sluiceproxy/sluice/admin"
	"github.com/sluiceproxy/sluice/drain"
)

// receiptHasAPlace reports a receipt file that could never be written: the end of the
// process is too late to learn that.
func receiptHasAPlace(name string) error {
	if name == "" {
		return nil
	}
	dir := filepath.Dir(name)
	fi, err := os.Stat(dir)
	if err == nil && !fi.IsDir() {
		err = fmt.Errorf("%s is no directory", dir)
	}
	if err != nil {
		return fmt.Errorf("drain.receipt: %w", err)
	}
	return nil
}

// maxReceipt bounds what is read of an old receipt: two lists of 1,000 holders fit.
const maxReceipt = 4 << 20

// lastDrain tells of the last drain here that was not this process's own, for
// sluice_last_drain_*: the receipt that the life before this one left, until one of the
// generations that drain has given its account.
func (a *app) lastDrain(generations *admin.Generations) func() *drain.Receipt {
	left := a.leftReceipt()
	return func() *drain.Receipt {
		last := generations.LastReceipt()
		if last == nil || left != nil && left.EndedAt().After(last.EndedAt()) {
			return left
		}
		return last
	}
}

// leftReceipt reads the receipt that is there at the start. None and a broken one are nil: a
// start does not depend on how the last life ended.
func (a *app) leftReceipt() *drain.Receipt {
	if a.cfg.Drain.Receipt == "" {
		return nil
	}
	if fi, err := os.Stat(a.cfg.Drain.Receipt); err == nil && !fi.Mode().IsRegular() {
		return nil // a device keeps nothing, and to open a pipe would wait for its writer
	}
	f, err := os.Open(a.cfg.Drain.Receipt)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var r drain.Receipt
	if err == nil {
		defer f.Close()
		err = json.NewDecoder(io.LimitReader(f, maxReceipt)).Decode(&r)
	}
	if err == nil && r.Schema != drain.ReceiptSchema {
		err = fmt.Errorf("schema %d, this program reads %d", r.Schema, drain.ReceiptSchema)
	}
	if err != nil {
		a.log.Warn("the last receipt cannot be read; its metrics stay empty", "file", a.cfg.Drain.Receipt, "err", err)
		return nil
	}
	return &r
}

// keptReceipts is how many receipts stay beside the latest, each in a file of its own.
const keptReceipts = 10

// ownReceipt is the name of a file that is nobody else's: generations of a line write to the
// same path, each at its end, and the next life does so too.
func ownReceipt(name string, r drain.Receipt, generation int) string {
	return fmt.Sprintf("%s.%s-g%d-%d", name, r.EndedAt().UTC().Format("20060102T150405.000Z"), generation, r.Process.PID)
}

// keepReceipt writes a receipt to a file of its own and then in the place of the latest one,
// and forgets the oldest of those that are kept. What is there and no file (a device, a pipe)
// is written to and stays what it is, and a directory that only lets us write the file
// itself keeps the latest alone.
func keepReceipt(name, own string, data []byte) error {
	if fi, err := os.Stat(name); err == nil && !fi.Mode().IsRegular() {
		return named(os.WriteFile(name, data, 0o644))
	}
	err := replaceFile(own, data)
	if errors.Is(err, fs.ErrPermission) {
		return named(os.WriteFile(name, data, 0o644))
	}
	return named(errors.Join(err, replaceFile(name, data), forgetReceipts(name)))
}

func named(err error) error {
	if err != nil {
		return fmt.Errorf("drain.receipt: %w", err)
	}
	return nil
}

// forgetReceipts removes all but the latest of the files that ownReceipt names.
func forgetReceipts(name string) error {
	all, err := os.ReadDir(filepath.Dir(name)) // by name, and so by time
	if err != nil {
		return err
	}
	own := regexp.MustCompile("^" + regexp.QuoteMeta(filepath.Base(name)) + `\.\d{8}T\d{6}\.\d{3}Z-g\d+-\d+$`)
	all = slices.DeleteFunc(all, func(e fs.DirEntry) bool { return !own.MatchString(e.Name()) })
	var errs []error
	for _, e := range all[:max(0, len(all)-keptReceipts)] {
		err := os.Remove(filepath.Join(filepath.Dir(name), e.Name()))
		if !errors.Is(err, fs.ErrNotExist) { // another generation that ends now was first
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// replaceFile puts a file in place in one step, so that nobody reads half a receipt.
func replaceFile(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".receipt-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err := f.Write(data); err != nil {
		f.Close()
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
