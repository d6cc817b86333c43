package yaml_test

import (
	"fmt"
	"time"

	"github.com/sluiceproxy/sluice/internal/yaml"
)

func Example() {
	doc, err := yaml.Parse("sluice.yaml", []byte("listen: :8080\ntiemout: 30s\n"), yaml.Limits{})
	if err != nil {
		panic(err)
	}
	var cfg struct {
		Listen  string        `yaml:"listen,required"`
		Timeout time.Duration `yaml:"timeout"`
	}
	fmt.Println(doc.Decode(&cfg))
	pos, _ := doc.At("listen")
	fmt.Println(cfg.Listen, pos)
	// Output:
	// sluice.yaml:2:1 error [unknown-key] unknown key "tiemout"; did you mean "timeout"?
	//    1 | listen: :8080
	// >  2 | tiemout: 30s
	//        ^
	// 1 error in sluice.yaml; nothing was changed.
	// :8080 {1 9}
}
