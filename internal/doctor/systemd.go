package doctor

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// systemd finds the units that run Sluice, with the socket units given beside them.
func (w *world) systemd() (all []*deployment) {
	for _, u := range w.units {
		start := u.values["Service.ExecStart"]
		words := unwrap(split(strings.TrimLeft(start.text, "-@:+!|")))
		if u.socket || likely(words, "", "") < 3 {
			continue
		}
		d := &deployment{platform: systemd, name: "unit " + u.src.name[strings.LastIndexByte(u.src.name, '/')+1:], at: start.at, args: words, argsAt: start.at}
		for _, e := range u.lists["Service.Environment"] {
			d.env = append(d.env, split(e.text)...)
		}
		limit := u.seconds("Service.TimeoutStopSec")
		if !limit.ok {
			limit = u.seconds("Service.TimeoutSec")
		}
		if limit.ok && limit.d == 0 {
			limit.d = endless // systemd takes 0 for no limit
		}
		d.stop = stopLimit{seconds: limit, setting: "TimeoutStopSec", byDef: 90 * time.Second, insert: u.set("TimeoutStopSec", ""), replace: func(v string) edit { return u.set("TimeoutStopSec", v) }}
		d.signal = u.values["Service.KillSignal"]
		if v, ok := u.values["Service.LimitNOFILE"]; ok {
			hard := v.text[strings.LastIndexByte(v.text, ':')+1:] // the runtime raises the soft one to it
			n, err := strconv.ParseInt(hard, 10, 64)
			if hard == "infinity" {
				n, err = 1<<30, nil
			}
			d.nofile = number{v.at, n, err == nil}
		}
		if v, ok := u.values["Service.User"]; !ok && !u.is("Service.DynamicUser") || v.text == "root" || v.text == "0" {
			d.pod.root = start.at
			if ok {
				d.pod.root = v.at
			}
		}
		d.unit = unit{is: true, kind: u.values["Service.Type"], killMode: u.values["Service.KillMode"], restart: u.values["Service.Restart"],
			success: u.values["Service.SuccessExitStatus"], watchdog: u.seconds("Service.WatchdogSec"), reload: u.values["Service.ExecReload"], stop: u.lists["Service.ExecStop"],
			notifyAccess: u.values["Service.NotifyAccess"], procSubset: u.values["Service.ProcSubset"],
			set: u.set}
		w.sockets(d, u)
		all = append(all, d)
	}
	return all
}

// sockets adds what the socket units of a service open: those that name it, have its name, or
// that it names.
func (w *world) sockets(d *deployment, service unitFile) {
	name := path.Base(slashes(service.src.name))
	for _, u := range w.units {
		socket := path.Base(slashes(u.src.name))
		of := u.values["Socket.Service"].text
		if of == "" {
			of = strings.TrimSuffix(socket, ".socket") + ".service"
		}
		if !u.socket || of != name && !slices.Contains(strings.Fields(service.values["Service.Sockets"].text), socket) {
			continue
		}
		if u.is("Socket.Accept") {
			d.unit.accept = u.values["Socket.Accept"].at
		}
		for _, v := range u.lists["Socket.ListenStream"] {
			n, err := strconv.ParseInt(v.text[strings.LastIndexByte(v.text, ':')+1:], 10, 64)
			if err == nil { // otherwise it is a path
				d.ports, d.exposed = append(d.ports, number{v.at, n, true}), append(d.exposed, number{v.at, n, true})
			}
		}
	}
}
