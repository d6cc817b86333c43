// Package doctor reads what an operator deploys Sluice with (Kubernetes objects, an ECS
// task definition and service, a compose file, systemd units, a Dockerfile, a scrape
// configuration, and the configuration itself) and finds what would lose requests, kill a
// drain half-way or make a probe lie: faults between files, which no schema shows.
//
//	report := doctor.Examine([]doctor.File{{Name: "deployment.yaml", Text: text}}, doctor.Options{})
//	for _, f := range report.Findings {
//		fmt.Println(f.Place(), f.Severity, f.Rule, f.Message)
//	}
//	fmt.Print(report.Patch()) // a unified diff of what can be put right by lines
//
// Every platform is read into one model, a deployment: how the process is started and
// stopped, who asks for its health, and who sends it traffic. Rules judge that model and
// know no file format. Nothing is run, opened or asked: files in, findings out.
//
// Files that cannot be read, or in which nothing is known, are findings as well.
package doctor
