package doctor

import (
	"strings"
	"time"
)

// addScrapes adds the intervals of the jobs of Prometheus that look at the deployment: those
// whose name or targets speak of Sluice, or of its probes port.
func (w *world) addScrapes(d *deployment) {
	for _, t := range w.scrapes {
		usual := t.get("global", "scrape_interval").secondsOr(time.Minute)
		for _, job := range t.get("scrape_configs").items() {
			if !isOurs(job, d) {
				continue
			}
			if own := job.get("scrape_interval").seconds(); own.ok {
				d.scrapes = append(d.scrapes, own)
			} else {
				d.scrapes = append(d.scrapes, usual)
			}
		}
	}
}

func isOurs(job tree, d *deployment) bool {
	name := job.get("job_name").text()
	if strings.Contains(name, "sluice") {
		return true
	}
	for _, static := range job.get("static_configs").items() {
		for _, target := range static.get("targets").texts() {
			if strings.HasSuffix(target, ":"+d.probesPort()) && d.probesPort() != "" || strings.Contains(target, "sluice") {
				return true
			}
		}
	}
	return false
}
