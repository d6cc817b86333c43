package doctor

import (
	"net"
	"strings"
	"time"

	"github.com/sluiceproxy/sluice/config"
)

// platform is who starts and stops the process.
type platform uint8

// The platforms. Bare: only a configuration was given.
const (
	bare platform = iota
	kubernetes
	ecs
	compose
	systemd
	docker
)

// deployment is one Sluice as a platform would run it.
type deployment struct {
	platform platform
	name     string // "Deployment sluice"
	at       spot   // where it is declared

	process
	args        []string // of the process, its name first; empty: the image's own
	argsAt      spot
	cfg         *config.Config // effective; nil: it has faults, which are findings already
	guessed     bool           // nobody gave it: the defaults
	cfgAt       spot           // of the configuration's text; nowhere: there is none
	stop        stopLimit
	preStop     seconds
	signal      textValue // that begins a stop; empty: SIGTERM
	nofile      number    // descriptors
	probes      []probe
	image       textValue
	uncheck     bool // the image's health check is switched off
	fargate     bool // ECS runs it on Fargate
	unrestarted spot // where compose says that nobody starts it again
	shellStart  spot // the process is a shell's child, which gets the signal

	balancers []balancer
	scrapes   []seconds // intervals
	ports     []number  // that others are told to connect to, by name or number resolved
	exposed   []number  // ports that a service, a mapping or a host makes reachable

	rollout rollout
	unit    unit // of systemd
	pod     pod  // of Kubernetes
}

// textValue, number and seconds are values with the place where they are written.
type textValue struct {
	at   spot
	text string
}

type number struct {
	at spot
	n  int64
	ok bool // it is given
}

type seconds struct {
	at spot
	d  time.Duration
	ok bool // it is given
}

// stopLimit is from when the platform begins a stop to SIGKILL.
type stopLimit struct {
	seconds
	setting string // its name there
	unknown bool   // it is given, and cannot be read
	byDef   time.Duration
	insert  edit // adds the setting where it is not given; its value is missing
	replace func(value string) edit
}

// stopOf reads a limit from a map.
func stopOf(t tree, key string, def time.Duration) stopLimit {
	s := stopLimit{seconds: t.get(key).seconds(), setting: key, byDef: def, insert: t.insert(key, ""), replace: t.get(key).replace}
	if d, ok := parseSeconds(filled(t.get(key).text())); ok && !s.ok {
		s.seconds = seconds{t.get(key).at(), d, true}
		s.replace = func(string) edit { return edit{} }
	}
	if v := t.get(key); v.ok && !s.ok {
		s.unknown = true // a variable, or what a template left
	}
	return s
}

// limit is what the platform gives.
func (s stopLimit) limit() time.Duration {
	if s.ok {
		return s.d
	}
	return s.byDef
}

// role is what a probe decides.
type role uint8

// The roles. Container: ECS, compose and Docker have one health check, which replaces a
// container or takes it out of service.
const (
	startup role = iota
	readiness
	liveness
	container
)

var roleNames = [...]string{startup: "startup probe", readiness: "readiness probe", liveness: "liveness probe", container: "health check"}

// probe is one check of the process by its platform.
type probe struct {
	role      role
	at        spot
	path      textValue // of an HTTP probe
	port      number
	elsewhere textValue // a scheme or host of an HTTP probe that is not the probes listener's
	pathEdit  func(to string) edit
	portEdit  func(to string) edit
	command   []string // of one that runs a program
	shell     bool     // by a shell
	kind      string   // http, exec, tcp, grpc
	period    seconds
	timeout   seconds
	failures  number
}

// takes is how long the probe needs to notice a process that says no.
func (p probe) takes() time.Duration {
	return p.period.d * time.Duration(min(p.failures.n, 1000))
}

// balancer sends traffic to the deployment from elsewhere.
type balancer struct {
	kind       balancerKind
	at         spot
	deregister seconds // how long it lets a target that leaves finish
	idle       seconds // how long it keeps an idle connection to a target
	interval   seconds // of its health check
	unhealthy  number  // checks that have to fail
	path       textValue
	port       textValue // of its health check: a number, or traffic-port; empty: not known
	open       spot      // where it says that it only looks whether a port is open; zero: it asks by HTTP
	matcher    textValue // status codes that count as healthy
	byNode     bool      // its targets are the nodes of a cluster
	group      string    // of ECS: the target group's ARN
}

// rollout is how the platform replaces one process by the next.
type rollout struct {
	at           spot
	replicas     number
	recreate     bool // all stop before the first starts
	inPlace      bool // one leaves before the next comes, by what kind of thing it is
	unavailable  textValue
	surge        textValue
	minHealthy   number // percent, ECS
	maxPercent   number
	budget       *disruption // nil: none matches
	needsBudget  bool
	scaler       number // its minimum
	autoscaled   bool
	surgeEdit    edit
	publishEarly spot // publishNotReadyAddresses
	local        spot // a service that sends to pods of its own node
}

// disruption is a PodDisruptionBudget.
type disruption struct {
	at             spot
	minAvailable   textValue
	maxUnavailable textValue
}

// pod is what a container has.
type pod struct {
	subPath     spot // a volume mounted by subPath: it never changes again
	subPathOf   string
	root        spot // it runs as root, or nothing keeps it from that
	hostNetwork spot
}

// unit is what only systemd has.
type unit struct {
	is           bool
	kind         textValue // Type=
	killMode     textValue
	restart      textValue
	success      textValue
	watchdog     seconds
	reload       textValue
	stop         []textValue // ExecStop=
	accept       spot        // a socket unit with Accept=yes
	notifyAccess textValue
	procSubset   textValue
	set          func(name, value string) edit // in [Service]
}

// heard says whether systemd takes messages of the process.
func (u unit) heard() bool {
	return strings.HasPrefix(u.kind.text, "notify") && u.notifyAccess.text != "none"
}

// probesPort is that of the listener that answers probes.
func (d *deployment) probesPort() string {
	if d.cfg == nil {
		return ""
	}
	_, port, err := net.SplitHostPort(d.cfg.Probes.Address)
	if err != nil {
		return ""
	}
	return port
}

// adminPort is that of the control listener; "" for a unix socket.
func (d *deployment) adminPort() string {
	if d.cfg == nil || strings.HasPrefix(d.cfg.Admin.Address, "unix:") {
		return ""
	}
	_, port, err := net.SplitHostPort(d.cfg.Admin.Address)
	if err != nil {
		return ""
	}
	return port
}

// dataPorts are those of the listeners.
func (d *deployment) dataPorts() (ports []string) {
	if d.cfg == nil {
		return nil
	}
	for _, l := range d.cfg.Listeners {
		if _, port, err := net.SplitHostPort(l.Address); err == nil {
			ports = append(ports, port)
		}
	}
	return ports
}
