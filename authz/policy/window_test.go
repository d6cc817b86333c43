package policy

import (
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/authz"
)

func TestTimes(t *testing.T) {
	for criterion, want := range map[string]string{ // at 2026-11-27T17:30:00Z, a Friday; 18:30 in Berlin, 12:30 in New York, Saturday 02:30 in Tokyo
		"date: {after: 2026-11-27}":                                                       "ok",
		"date: {after: 2026-11-28}":                                                       "date-unauthorized",
		"date: {before: 2026-11-28}":                                                      "ok",
		"date: {before: 2026-11-27}":                                                      "date-unauthorized",
		"date: {after: 2026-11-28, timezone: Asia/Tokyo}":                                 "ok",
		"date: {after: 2026-11-27T17:30:00Z}":                                             "ok", // the first moment belongs to it
		"date: {before: 2026-11-27T17:30:00Z}":                                            "date-unauthorized",
		"date: {after: '2026-11-27T18:30', before: '2026-11-27T18:31', timezone: CET}":    "ok",
		"date: {after: '2026-11-27T18:30:01+01:00'}":                                      "date-unauthorized",
		"time_of_day: {after: '17:30', before: '17:31'}":                                  "ok",
		"time_of_day: {after: '17:30:01'}":                                                "time-of-day-unauthorized",
		"time_of_day: {before: '17:30'}":                                                  "time-of-day-unauthorized",
		"time_of_day: {after: '08:00', before: '18:00'}":                                  "ok",
		"time_of_day: {after: '08:00', before: '18:00', timezone: Europe/Berlin}":         "time-of-day-unauthorized",
		"time_of_day: {after: '12:30pm', before: '12:31 PM', timezone: America/New_York}": "ok",
		"time_of_day: {after: '22:00', before: '06:00'}":                                  "time-of-day-unauthorized", // over midnight
		"time_of_day: {after: '22:00', before: '06:00', timezone: Asia/Tokyo}":            "ok",
		"time_of_day: {after: '17:00', before: '06:00'}":                                  "ok",
		"day_of_week: fri":                                                                "ok",
		"day_of_week: mon-fri":                                                            "ok",
		"day_of_week: 'Sat,Sun'":                                                          "day-of-week-unauthorized",
		"day_of_week: [sat, thu-fri]":                                                     "ok",
		"day_of_week: sat-mon":                                                            "day-of-week-unauthorized",
		"day_of_week: fri-mon":                                                            "ok",
		"day_of_week: {days: sat, timezone: Asia/Tokyo}":                                  "ok",
		"none_of: [{day_of_week: sat}, {day_of_week: sun}]":                               "ok",
		"none_of: [{day_of_week: sat}, {day_of_week: fri}]":                               "day-of-week-unauthorized",
		"not_all_of: [{day_of_week: fri}, {date: {before: 2026-01-01}}]":                  "ok",
		"not_all_of: [{day_of_week: fri}, {date: {after: 2026-01-01}}]":                   "no-rule-matched",
	} {
		p := CompileRules(rules(t, "{allow: {and: [{"+criterion+"}]}}"))
		if !p.Facts().Time {
			t.Errorf("%s: a decision kept would not know that it depends on the time", criterion)
		}
		req := request()
		req.Time = time.Date(2026, 11, 27, 17, 30, 0, 0, time.UTC).Local()
		if d := p.Authorize(nil, req); d.Reason != want || (d.Verdict == authz.Allow) != (want == "ok") {
			t.Errorf("%s: %v %s, want %s", criterion, d.Verdict, d.Reason, want)
		}
		req.Time = time.Time{} // nobody said when it is
		if d := p.Authorize(nil, req); d.Verdict != authz.Deny || d.Reason != ReasonError {
			t.Errorf("%s: without a time: %v %s", criterion, d.Verdict, d.Reason)
		}
	}
}

// The clock of a zone is what counts, on the day on which it is changed, too.
func TestTimesWhenClocksChange(t *testing.T) {
	p := CompileRules(rules(t, "{allow: {and: [{time_of_day: {after: '02:30', before: '03:30', timezone: Europe/Berlin}}]}}"))
	for at, want := range map[string]authz.Verdict{
		"2026-03-29T00:45:00Z": authz.Deny,  // 01:45
		"2026-03-29T01:15:00Z": authz.Allow, // 03:15: 02:30 did not exist
		"2026-10-25T00:45:00Z": authz.Allow, // 02:45 for the first time
		"2026-10-25T01:15:00Z": authz.Deny,  // 02:15 for the second
		"2026-10-25T01:45:00Z": authz.Allow, // 02:45
	} {
		req := request()
		req.Time, _ = time.Parse(time.RFC3339, at)
		if d := p.Authorize(nil, req); d.Verdict != want {
			t.Errorf("%s: %v, want %v", at, d.Verdict, want)
		}
	}
}

func TestFaultsOfTimes(t *testing.T) {
	for criterion, want := range map[string]string{
		"date: 2026-01-01":                               "where a mapping is expected",
		"date: {}":                                       "neither after nor before",
		"date: {timezone: UTC}":                          "neither after nor before",
		"date: {after: 2026-02-30}":                      `"2026-02-30" is no date`,
		"date: {after: tomorrow}":                        `"tomorrow" is no date`,
		"date: {since: 2026-01-01}":                      `unknown bound "since"`,
		"date: {after: 2026-01-02, before: 2026-01-02}":  "no time is after the one and before the other",
		"date: {after: 2026-01-02, timezone: Mars}":      `"Mars" is no time zone`,
		"date: {after: 2026-01-02, timezone: Local}":     `"Local" is no time zone`,
		"date: {after: 2026-01-02, timezone: ''}":        `"" is no time zone`,
		"date: {after: 2026-01-02, timezone: ../zone}":   `"../zone" is no time zone`,
		"time_of_day: {after: '25:00'}":                  `"25:00" is no time of day`,
		"time_of_day: {after: '18:00', before: '18:00'}": "after and before are the same",
		"time_of_day: {after: 18}":                       "number 18 where a string is expected",
		"time_of_day: {beforre: '18:00'}":                `did you mean "before"?`,
		"day_of_week: monday":                            `"monday" is no day`,
		"day_of_week: ''":                                `"" is no day`,
		"day_of_week: mon-":                              `"mon-" is no day`,
		"day_of_week: []":                                "a list of 0 days",
		"day_of_week: 1":                                 "number 1 where a string is expected",
		"day_of_week: {timezone: UTC}":                   "no days",
		"day_of_week: {days: mon, zone: UTC}":            `unknown key "zone"`,
		"none_off: [{accept: true}]":                     `did you mean "none_of"?`,
	} {
		_, err := Parse("p.yaml", []byte(route("[{deny: {and: [{"+criterion+"}]}}]")))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", criterion, err, want)
		}
	}
}
