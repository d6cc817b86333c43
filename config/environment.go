package config

import "slices"

// Variable is one variable of the environment that sets a value.
type Variable struct {
	Name    string // SLUICE_DRAIN_TIMEOUT
	InForce bool   // it is set, and no flag overrides it
	Setting        // the value that is in force, and where it comes from
}

// Environment lists every variable that sets a value, in the order of the documentation, with the
// value that is in force. What only the whole configuration can show (a listener is missing, the
// stop does not fit) is not judged: what is asked here is which value wins. The error is a *yaml.Faults:
// values that cannot be read, and variables and keys that are none.
func Environment(src Source) ([]Variable, error) {
	l := loader{src: src, cfg: Default()}
	l.cfg.origins = map[string]Origin{}
	l.file()
	l.environment()
	l.flags()
	if err := l.faults.ErrorOrNil(); err != nil {
		return nil, err
	}
	l.complete()
	var list []Variable
	scalars := Scalars()
	for _, s := range l.cfg.Settings() {
		if slices.Contains(scalars, s.Path) {
			list = append(list, Variable{Name: EnvName(s.Path), InForce: s.Origin.Kind == FromEnv, Setting: s})
		}
	}
	return list, nil
}
