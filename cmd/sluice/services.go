package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/sluiceproxy/sluice/authz/policy"
	"github.com/sluiceproxy/sluice/authz/policysync"
	"github.com/sluiceproxy/sluice/lifecycle"
	"github.com/sluiceproxy/sluice/proxy"
)

// publicPolicy puts the one route of `run --to X --public` in force.
type publicPolicy struct {
	server *proxy.Server
	to     string
	target *lifecycle.Target
}

func (p *publicPolicy) Name() string { return "public_policy" }

func (p *publicPolicy) Start(ctx context.Context) error {
	src := fmt.Sprintf("clusters: {default: {endpoints: [%q]}}\nroutes:\n- {name: default, cluster: default, policy: [{allow: {and: [{accept: true}]}}]}\n", p.to)
	doc, err := policy.Parse("--to", []byte(src))
	if err != nil {
		return err
	}
	if err := p.server.Apply(ctx, "public", doc); err != nil {
		return err
	}
	p.target.Ready()
	return nil
}

func (p *publicPolicy) Admit() error                { return nil }
func (p *publicPolicy) LameDuck()                   {}
func (p *publicPolicy) Drain(context.Context) error { return nil }
func (p *publicPolicy) Close() error                { return nil }

// clusterSource adds the cluster "default" of --to to what a source holds.
type clusterSource struct {
	policysync.Source
	text []byte
	hash string
}

func withCluster(s policysync.Source, to string) policysync.Source {
	text := fmt.Appendf(nil, "clusters: {default: {endpoints: [%q]}}\n", to)
	sum := sha256.Sum256(text)
	return &clusterSource{Source: s, text: text, hash: hex.EncodeToString(sum[:])}
}

func (c *clusterSource) Head(ctx context.Context) (policysync.Head, error) {
	h, err := c.Source.Head(ctx)
	if err == nil {
		h.Objects = append(h.Objects[:len(h.Objects):len(h.Objects)], policysync.Object{Name: "--to", Hash: c.hash})
	}
	return h, err
}

func (c *clusterSource) Fetch(ctx context.Context, hash string) ([]byte, error) {
	if hash == c.hash {
		return c.text, nil
	}
	return c.Source.Fetch(ctx, hash)
}
