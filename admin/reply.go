package admin

import (
	"encoding/json"
	"net/http"
)

// problem is the JSON form of an error.
type problem struct {
	Error string `json:"error"`
}

// reply sends v as JSON.
func reply(w http.ResponseWriter, code int, v any) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		code, b = http.StatusInternalServerError, []byte(`{"error":"the answer cannot be written as JSON"}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	// An error means that the client is gone: there is nobody to tell.
	_, _ = w.Write(append(b, '\n'))
}

// refuse sends an error.
func refuse(w http.ResponseWriter, code int, text string) {
	if code == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="sluice admin"`)
	}
	reply(w, code, problem{text})
}
