//go:build noetcd

package main

import (
	"errors"

	"github.com/sluiceproxy/sluice/config"
)

func openEtcd(*config.Config) (sharedStore, error) {
	return nil, errors.New("this build leaves etcd out (tag noetcd): build without that tag, or remove etcd.endpoints")
}
