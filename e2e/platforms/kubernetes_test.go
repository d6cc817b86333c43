package platforms

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// monitor is as much of a ServiceMonitor as ours says: its own types come with a whole operator.
type monitor struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Selector  metav1.LabelSelector `json:"selector"`
		Endpoints []struct {
			Port          string `json:"port"`
			Path          string `json:"path"`
			Interval      string `json:"interval"`
			ScrapeTimeout string `json:"scrapeTimeout"`
		} `json:"endpoints"`
	} `json:"spec"`
}

// kustomization is as much of a Kustomization as ours says.
type kustomization struct {
	metav1.TypeMeta `json:",inline"`
	Resources       []string `json:"resources"`
	Labels          []struct {
		Pairs            map[string]string `json:"pairs"`
		IncludeSelectors bool              `json:"includeSelectors"`
	} `json:"labels"`
	Images []struct {
		Name   string `json:"name"`
		NewTag string `json:"newTag"`
	} `json:"images"`
}

func types() map[string]any {
	return map[string]any{
		"apps/v1/Deployment": &appsv1.Deployment{}, "v1/Service": &corev1.Service{}, "v1/ConfigMap": &corev1.ConfigMap{},
		"policy/v1/PodDisruptionBudget": &policyv1.PodDisruptionBudget{}, "autoscaling/v2/HorizontalPodAutoscaler": &autoscalingv2.HorizontalPodAutoscaler{},
		"networking.k8s.io/v1/NetworkPolicy": &networkingv1.NetworkPolicy{}, "monitoring.coreos.com/v1/ServiceMonitor": &monitor{},
		"kustomize.config.k8s.io/v1beta1/Kustomization": &kustomization{},
	}
}

// strictly reads one object; it returns what it is.
func strictly(text []byte) (any, error) {
	var head metav1.TypeMeta
	if err := yaml.Unmarshal(text, &head); err != nil {
		return nil, err
	}
	into, known := types()[head.APIVersion+"/"+head.Kind]
	if !known {
		return nil, &os.PathError{Op: "no type for", Path: head.APIVersion + "/" + head.Kind, Err: os.ErrNotExist}
	}
	return into, yaml.UnmarshalStrict(text, into)
}

const manifests = "../../deploy/kubernetes"

// TestManifestsAreKubernetes: every object of every file, and every file is in the kustomization.
func TestManifestsAreKubernetes(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(manifests, "*.yaml"))
	if err != nil || len(files) < 5 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	listed := map[string]bool{"kustomization.yaml": true}
	seen := map[string]int{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range bytes.Split(append([]byte("\n"), text...), []byte("\n---\n")) {
			o, err := strictly(part)
			if err != nil {
				t.Errorf("%s: %v", file, err)
				continue
			}
			switch o := o.(type) {
			case *kustomization:
				for _, r := range o.Resources {
					listed[r] = true
				}
			case *appsv1.Deployment:
				seen["Deployment"]++
				c := o.Spec.Template.Spec.Containers[0]
				for name, p := range map[string]*corev1.Probe{"startup": c.StartupProbe, "readiness": c.ReadinessProbe, "liveness": c.LivenessProbe} {
					if p == nil || p.HTTPGet == nil || p.HTTPGet.Port.StrVal != "probes" {
						t.Errorf("the %s probe does not ask the probes port: %+v", name, p)
					}
				}
			case *corev1.Service:
				seen["Service"]++
			}
		}
	}
	for _, file := range files {
		if !listed[filepath.Base(file)] {
			t.Errorf("%s is not in the kustomization", file)
		}
	}
	if seen["Deployment"] != 1 || seen["Service"] != 2 {
		t.Errorf("seen %v", seen)
	}
}

// TestStrictness: the check above can fail.
func TestStrictness(t *testing.T) {
	for _, bad := range []string{
		"apiVersion: v1\nkind: Service\nspec: {selecter: {a: b}}\n",
		"apiVersion: v1\nkind: Service\nspec: {ports: [{port: \"eighty\"}]}\n",
		"apiVersion: v2\nkind: Service\n",
	} {
		if _, err := strictly([]byte(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
