//go:build !nocel

package celexpr

import "testing"

// What is misspelt within quotes is found when it is loaded.
func TestLiterals(t *testing.T) {
	for text, good := range map[string]bool{
		`now.getHours() > 3`:                                   true,
		`now.getHours("Europe/Berlin") > 3`:                    true,
		`now.getHours("UTC") > 3`:                              true,
		`now.getHours("+02:00") > 3`:                           true,
		`now.getHours("-02:00") > 3`:                           true,
		`now.getHours("02:00") > 3`:                            true,
		`now.getHours("+2:xx") > 3`:                            false,
		`now.getHours("Europe/Berln") > 3`:                     false,
		`now.getDayOfWeek("Local") > 3`:                        false,
		`now.getDayOfWeek("") > 3`:                             false,
		`now.getMinutes(query) > 3`:                            false,
		`duration("1h").getHours() > 3`:                        true,
		`source_ip == ip("10.0.0.1")`:                          true,
		`source_ip == ip("10.0.0.256")`:                        false,
		`cidr("10.0.0.0/8").containsIP(source_ip)`:             true,
		`cidr("10.0.0.0/99").containsIP(source_ip)`:            false,
		`cidr("10.0.0.0").containsIP(source_ip)`:               false,
		`cidr("10.0.0.0/8").containsIP("10.1")`:                false,
		`cidr("10.0.0.0/8").containsCIDR("10.1.0.0/16")`:       true,
		`cidr("10.0.0.0/8").containsCIDR("10.1.0.0/160")`:      false,
		`!cidr("10.0.0.0/8").containsIP("10.1.0.1") || !false`: true,
	} {
		e, faults := Compile(text)
		if (len(faults) == 0) != good {
			t.Errorf("%s: %v", text, faults)
		}
		if len(faults) > 0 {
			continue
		}
		if _, err := e.Eval(alice, request()); err != nil {
			t.Errorf("%s loads, and is an error: %v", text, err)
		}
	}
}
