package doctor

import (
	"slices"
	"strings"
)

// environment is what a container gets of variables, as far as it is shown: values, and keys of
// ConfigMaps that were given. Those of its own override those that come from a whole ConfigMap.
func (w *world) environment(o object, c tree) (env []string) {
	set := func(name, value string) {
		env = slices.DeleteFunc(env, func(kv string) bool { return strings.HasPrefix(kv, name+"=") })
		env = append(env, name+"="+value)
	}
	for _, from := range c.get("envFrom").items() {
		w.configMap(o, from.get("configMapRef", "name").text()).get("data").entries(func(k, v tree) {
			set(from.get("prefix").text()+k.text(), v.text())
		})
	}
	for _, e := range c.get("env").items() {
		name, ref := e.get("name").text(), e.get("valueFrom", "configMapKeyRef")
		if v := e.get("value"); v.ok {
			set(name, v.text())
		} else if v := w.configMap(o, ref.get("name").text()).get("data", ref.get("key").text()); v.ok {
			set(name, v.text())
		}
	}
	return env
}

// configMap is the one of that name beside an object; not there: it was not given.
func (w *world) configMap(o object, name string) tree {
	for _, m := range w.kube {
		if m.kind == "ConfigMap" && m.name == name && name != "" && m.beside(o) {
			return m.tree
		}
	}
	return tree{}
}

// beside says whether two objects are in one namespace. One that names none goes where it is
// applied to, which may be the other's.
func (o object) beside(other object) bool {
	return o.namespace == other.namespace || o.namespace == "" || other.namespace == ""
}

// mounts are the files that the container sees, of ConfigMaps and Secrets that were given.
func (w *world) mounts(o object, spec, c tree) (files []mounted) {
	for _, m := range c.get("volumeMounts").items() {
		for _, v := range spec.get("volumes").items() {
			if v.get("name").text() != m.get("name").text() {
				continue
			}
			for _, from := range append(v.get("projected", "sources").items(), v) {
				files = append(files, w.projected(o, from, m)...)
			}
		}
	}
	return files
}

// projected are the files of one source of a volume at a mount.
func (w *world) projected(o object, from, mount tree) (files []mounted) {
	held := w.configMap(o, from.get("configMap", "name").text()).get("data")
	items := from.get("configMap", "items")
	if s := from.get("secret"); s.ok {
		items = s.get("items")
		for _, m := range w.kube {
			if m.kind == "Secret" && m.beside(o) && m.name == s.first("secretName", "name").text() {
				held = m.get("stringData") // what is in base64 is not looked into
			}
		}
	}
	at, sub := strings.TrimSuffix(mount.get("mountPath").text(), "/"), mount.get("subPath").text()
	held.entries(func(key, text tree) {
		name := key.text()
		for _, it := range items.items() {
			if it.get("key").text() == name {
				name = it.get("path").text()
			}
		}
		switch {
		case sub == "":
			files = append(files, mounted{path: at + "/" + name, at: text})
		case sub == name:
			files = append(files, mounted{path: at, at: text})
		}
	})
	return files
}

// selects says whether a LabelSelector takes an object with these labels: by matchLabels and
// matchExpressions. An empty one takes all; one that is not there, none.
func selects(selector, labels tree) bool {
	all := selector.ok
	selector.get("matchLabels").entries(func(k, v tree) {
		all = all && labels.get(k.text()).ok && labels.get(k.text()).text() == v.text()
	})
	for _, e := range selector.get("matchExpressions").items() {
		label := labels.get(e.get("key").text())
		in := label.ok && slices.Contains(e.get("values").texts(), label.text())
		switch e.get("operator").text() {
		case "In":
			all = all && in
		case "NotIn":
			all = all && !in
		case "Exists":
			all = all && label.ok
		case "DoesNotExist":
			all = all && !label.ok
		}
	}
	return all
}

// serves says whether the selector of a Service takes pods with these labels. Without a
// selector it takes none.
func serves(selector, labels tree) bool {
	all := selector.ok && selector.node.Len() > 0
	selector.entries(func(k, v tree) {
		all = all && labels.get(k.text()).ok && labels.get(k.text()).text() == v.text()
	})
	return all
}
