package main

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/dexidp/dex/server"
	"github.com/dexidp/dex/server/connectors"
	"github.com/dexidp/dex/server/session"
	"github.com/dexidp/dex/server/signer"
	"github.com/dexidp/dex/server/tokens"
	"github.com/dexidp/dex/storage"
	"github.com/dexidp/dex/storage/memory"
	"github.com/dexidp/dex/web"
	"golang.org/x/crypto/bcrypt"
)

func main() {
	origin := flag.String("origin", "https://app.example.com", "of the proxy: its redirect URIs are below it")
	backchannel := flag.String("backchannel", "", "address of the back-channel logout of the proxy")
	flag.Parse()
	if err := run(*origin, *backchannel); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(origin, backchannel string) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	issuer := "http://" + ln.Addr().String() + "/dex"
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	handler, err := provider(ctx, issuer, origin, backchannel)
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = srv.Serve(ln) }() // ends with Close
	defer srv.Close()
	fmt.Println(issuer)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// provider is dex with one client, "sluice", whose secret is "secret".
func provider(ctx context.Context, issuer, origin, backchannel string) (http.Handler, error) {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	hash, err := bcrypt.GenerateFromPassword([]byte("password"), 10)
	if err != nil {
		return nil, err
	}
	store := storage.WithStaticPasswords(memory.New(log), []storage.Password{
		{Email: "ann@example.com", Hash: hash, Username: "ann", UserID: "u-ann", Groups: []string{"eng", "ops"}},
		{Email: "bob@example.com", Hash: hash, Username: "bob", UserID: "u-bob"},
	}, log)
	store = storage.WithStaticClients(store, []storage.Client{{ID: "sluice", Secret: "secret", Name: "Sluice",
		RedirectURIs: []string{origin + "/.sluice/callback", origin + "/.sluice/callback/dex"}, PostLogoutRedirectURIs: []string{origin + "/.sluice/signed-out"}, BackchannelLogoutURI: backchannel}})
	store = storage.WithStaticConnectors(store, []storage.Connector{{ID: connectors.LocalConnector, Type: connectors.LocalConnector, Name: "Password"}})
	sign, err := (&signer.LocalConfig{KeysRotationPeriod: "6h"}).Open(ctx, store, time.Hour, time.Now, log)
	if err != nil {
		return nil, err
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return server.NewServer(ctx, server.Config{Issuer: issuer, Storage: store, SkipApprovalScreen: true, Web: server.WebConfig{WebFS: web.FS()}, Logger: log, Signer: sign,
		IDTokensValidFor: time.Hour, RefreshTokenPolicy: tokens.NewRefreshStrategy(false, 0, 0, 0, nil), SupportedResponseTypes: []string{"code"},
		SessionConfig: &session.Config{CookieName: "dex_session", CookieEncryptionKey: key, AbsoluteLifetime: time.Hour, ValidIfNotUsedFor: time.Hour}})
}
