package report

import (
	_ "embed"
	"encoding/json"
	"html/template"
	"io"
	"strings"
)

// What the page is made of. uPlot is embedded as its project publishes it (MIT licence,
// page/uPlot.LICENSE).
var (
	//go:embed page/page.html
	pageHTML string
	//go:embed page/page.css
	pageCSS string
	//go:embed page/page.js
	pageJS string
	//go:embed page/uPlot.iife.min.js
	chartJS string
	//go:embed page/uPlot.min.css
	chartCSS string
)

const chartVersion = "1.6.32"

// HTML writes a page that needs nothing but itself: no network, no other file.
func HTML(out io.Writer, f File) error {
	for i := range f.Runs {
		f.Runs = append([]Run(nil), f.Runs...)
		f.Runs[i].Classes = append([]Class(nil), f.Runs[i].Classes...)
		f.Runs[i].Total.Histogram = ""
		for c := range f.Runs[i].Classes {
			f.Runs[i].Classes[c].Histogram = "" // the page shows percentiles
		}
	}
	data, err := json.Marshal(f) // escapes <, > and &, so it cannot end its element
	if err != nil {
		return err
	}
	t, err := template.New("page").Parse(pageHTML)
	if err != nil {
		return err
	}
	return t.Execute(out, map[string]any{
		"Title": title(f), "ChartVersion": chartVersion, "Data": template.JS(data), //nolint:gosec // ours, see above
		"Chart": template.JS(chartJS), "Script": template.JS(pageJS), "ChartCSS": template.CSS(chartCSS), "CSS": template.CSS(pageCSS), //nolint:gosec // ours
	})
}

func title(f File) string {
	var names []string
	for _, r := range f.Runs {
		if name := r.Proxy + " " + string(r.Plan); len(names) < 3 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}
