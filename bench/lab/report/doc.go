// Package report says what a run came to: as a table, as JSON with a published schema, as one
// offline page, and as an exit code.
//
//	run := report.Build(report.Input{Summary: recorder.Sum(), Restarts: restarts, ...})
//	verdict := report.Judge(run, report.Limits{})
//	report.Table(os.Stdout, run)
//	os.Exit(verdict.Exit)
//
// Nothing in it runs or measures anything. The form of the JSON is docs/lab.schema.json;
// fields may be added without a new schema.
package report
