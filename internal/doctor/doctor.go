package doctor

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/sluiceproxy/sluice/internal/yaml"
)

// File is one that an operator deploys with.
type File struct {
	Name string
	Text []byte
}

// Options say what no file does.
type Options struct {
	// Balancer is in front of the deployment: alb, nlb, gcp or kube-proxy. Empty: what the
	// files say.
	Balancer string
}

// Report is what was found.
type Report struct {
	Read     []string  `json:"read"` // what was recognized: "deploy.yaml: Deployment sluice"
	Findings []Finding `json:"findings"`
	Stops    []Stop    `json:"stops"`
	sources  []*source
}

// Worst is the severity of the gravest finding; Note if there is none.
func (r *Report) Worst() (worst Severity) {
	for _, f := range r.Findings {
		worst = max(worst, f.Severity)
	}
	return worst
}

// Examine reads the files and judges every deployment in them.
func Examine(files []File, opt Options) *Report {
	r := &Report{Read: []string{}, Findings: []Finding{}, Stops: []Stop{}}
	w := &world{report: r, opt: opt}
	for _, f := range files {
		src := newSource(f)
		r.sources = append(r.sources, src)
		w.read(src, f)
	}
	for _, src := range w.unitSources {
		w.units = append(w.units, readUnit(src, slices.DeleteFunc(slices.Clone(w.dropIns), func(d *source) bool { return unitOf(d.name) != path.Base(slashes(src.name)) })))
	}
	deployments := w.deployments()
	if len(deployments) == 0 {
		w.fault(spot{}, "nothing here starts a sluice, and nothing configures one; give the files that deploy it")
	}
	for _, d := range deployments {
		w.configure(d)
		w.addBalancer(d)
		w.addScrapes(d)
		for _, rule := range Rules() {
			if rule.check != nil {
				rule.check(d, &reporter{rule, d, &r.Findings})
			}
		}
		if d.cfg != nil {
			r.Stops = append(r.Stops, d.timeline())
		}
	}
	for i, f := range r.Findings { // what is missing at the end is reported behind it
		for _, src := range r.sources {
			if src.name == f.File {
				r.Findings[i].Line = min(f.Line, len(src.lines))
			}
		}
	}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return r
}

// world is everything that was read.
type world struct {
	report  *Report
	opt     Options
	kube    []object     // Kubernetes objects
	tasks   []tree       // ECS task definitions
	svcs    []tree       // ECS services
	groups  []tree       // target groups
	stacks  []tree       // compose files
	units   []unitFile   // of systemd, with their drop-ins
	builds  []buildFile  // Dockerfiles
	scrapes []tree       // Prometheus configurations
	configs []configFile // of Sluice

	unitSources []*source // unit files that were given
	dropIns     []*source
}

// configFile is a configuration of Sluice that was given as a file.
type configFile struct {
	name string
	text []byte
}

// fault reports what keeps a file from being judged.
func (w *world) fault(at spot, message string) {
	w.report.Findings = append(w.report.Findings, Finding{Rule: unreadable, Severity: Failure, File: at.file, Line: at.line, Message: message,
		Remedy: "give files as they are applied: templates rendered, one platform's format each"})
}

func (w *world) saw(src *source, what, name string) {
	w.report.Read = append(w.report.Read, strings.TrimSpace(src.name+": "+what+" "+name))
}

// read recognizes a file by its name and what is in it.
func (w *world) read(src *source, f File) {
	base := path.Base(slashes(f.Name))
	switch ext := path.Ext(base); {
	case base == "Dockerfile" || strings.HasPrefix(base, "Dockerfile.") || ext == ".dockerfile":
		w.builds = append(w.builds, readBuild(src))
		w.saw(src, "Dockerfile", "")
	case ext == ".service" || ext == ".socket":
		w.unitSources = append(w.unitSources, src)
		w.saw(src, "systemd "+strings.TrimPrefix(ext, "."), "")
	case unitOf(f.Name) != "":
		w.dropIns = append(w.dropIns, src)
		w.saw(src, "systemd drop-in", "")
	default:
		parts := documents(f.Text)
		if len(parts) > maxDocuments {
			parts = parts[:maxDocuments]
			w.fault(spot{file: src.name}, fmt.Sprintf("there are more than %d documents in it, and only those were read; split it", maxDocuments))
		}
		for _, part := range parts {
			w.document(src, part)
		}
	}
}

// maxDocuments bounds how often a file's text is looked at.
const maxDocuments = 200

// documents splits a file at its "---" lines. Each part keeps the lines that it has in the
// file: those before it are empty.
func documents(text []byte) (parts [][]byte) {
	lines := strings.Split(string(text), "\n")
	from := 0
	add := func(to int) {
		if part := lines[from:to]; strings.TrimSpace(strings.Join(part, "")) != "" && len(parts) <= maxDocuments {
			parts = append(parts, []byte(strings.Repeat("\n", from)+strings.Join(part, "\n")+"\n"))
		}
	}
	for i, line := range lines {
		if line = strings.TrimSuffix(line, "\r"); line == "---" || strings.HasPrefix(line, "--- ") {
			add(i)
			from = i + 1
		}
	}
	add(len(lines))
	return parts
}

// limits are those of a file: rendered manifests are large.
var limits = yaml.Limits{Size: 4 << 20}

func (w *world) document(src *source, text []byte) {
	if onlyComments(text) {
		return
	}
	if src.json {
		text = []byte(strings.ReplaceAll(string(text), "\t", " ")) // which YAML has no use for; columns stay
	}
	doc, err := yaml.Parse(src.name, text, limits)
	if err != nil {
		w.fault(spot{file: src.name, line: firstLine(err)}, "cannot be read: "+firstFault(err))
		return
	}
	t := tree{src: src, node: doc.Root(), ok: true}
	switch {
	case t.get("apiVersion").ok && t.get("kind").ok:
		w.addObject(src, t)
	case t.get("taskDefinition", "containerDefinitions").ok:
		w.tasks = append(w.tasks, t.get("taskDefinition"))
		w.saw(src, "ECS task definition", t.get("taskDefinition", "family").text())
	case t.get("containerDefinitions").ok:
		w.tasks = append(w.tasks, t)
		w.saw(src, "ECS task definition", t.get("family").text())
	case t.get("service", "serviceName").ok:
		w.svcs = append(w.svcs, t.get("service"))
		w.saw(src, "ECS service", t.get("service", "serviceName").text())
	case t.get("serviceName").ok && t.first("taskDefinition", "launchType", "deploymentConfiguration").ok:
		w.svcs = append(w.svcs, t)
		w.saw(src, "ECS service", t.get("serviceName").text())
	case len(t.get("services").items()) > 0 && t.get("services").items()[0].get("serviceName").ok:
		for _, s := range t.get("services").items() {
			w.svcs = append(w.svcs, s)
			w.saw(src, "ECS service", s.get("serviceName").text())
		}
	case t.first("TargetGroups", "HealthCheckPath", "HealthCheckProtocol").ok, len(t.get("Attributes").items()) > 0 && t.get("Attributes").items()[0].get("Key").ok:
		w.groups = append(w.groups, targetGroups(t)...)
		w.saw(src, "target group", "")
	case t.get("scrape_configs").ok:
		w.scrapes = append(w.scrapes, t)
		w.saw(src, "Prometheus configuration", "")
	case t.get("version").text() == "1" && t.first("listeners", "policy", "drain", "lame_duck", "probes").ok:
		w.configs = append(w.configs, configFile{src.name, text})
		w.saw(src, "configuration", "")
	case t.get("services").ok:
		w.stacks = append(w.stacks, t)
		w.saw(src, "compose file", t.get("name").text())
	case t.first("routes", "tcp_routes", "clusters").ok:
		w.saw(src, "policy (see sluice policy check)", "")
	case t.get("groups").ok, t.get("rule_files").ok:
		w.saw(src, "rules of Prometheus (see promtool)", "")
	case t.get("panels").ok && t.get("schemaVersion").ok:
		w.saw(src, "Grafana dashboard", "")
	case len(t.get("cases").items()) > 0:
		w.saw(src, "cases (see sluice policy test)", "")
	default:
		w.report.Findings = append(w.report.Findings, Finding{Rule: unknownFile, Severity: Note, File: src.name, Message: "nothing that is looked at here",
			Remedy: "leave it out, or see whether a key is misspelt: Kubernetes objects have apiVersion and kind, task definitions containerDefinitions, compose files services, configurations of Sluice version: 1 and listeners"})
	}
}

func onlyComments(text []byte) bool {
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return false
		}
	}
	return true
}

// deployments are all that the files start; if none, the configurations alone.
func (w *world) deployments() (all []*deployment) {
	all = append(all, w.kubernetes()...)
	all = append(all, w.ecs()...)
	all = append(all, w.compose()...)
	all = append(all, w.systemd()...)
	all = append(all, w.docker()...)
	if len(all) == 0 {
		for _, c := range w.configs {
			all = append(all, &deployment{name: c.name, at: spot{c.name, 1, 1}, args: []string{"sluice", "run", "-c", c.name}})
		}
	}
	return all
}
