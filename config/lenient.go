package config

import "github.com/sluiceproxy/sluice/internal/yaml"

// ProbesAddress reads probes.address alone, the default if the file does not say it:
// faults elsewhere in the file do not count. The error is a *yaml.Faults: the file is not
// readable as YAML at all.
func ProbesAddress(name string, text []byte) (string, error) {
	doc, err := yaml.Parse(name, text, yaml.Limits{})
	if err != nil {
		return "", err
	}
	if probes, ok := doc.Root().Get("probes"); ok {
		if address, ok := probes.Get("address"); ok && address.Kind() == yaml.String {
			return address.Text(), nil
		}
	}
	return Default().Probes.Address, nil
}
