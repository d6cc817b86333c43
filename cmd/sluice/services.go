package main

import (
	"context"
	"fmt"

	"github.com/sluiceproxy/sluice/authz/policy"
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

// toCluster is the cluster "default" of --to, which every version has besides its own files.
func toCluster(to string) []policy.File {
	if to == "" {
		return nil
	}
	return []policy.File{{Name: "--to", Src: fmt.Appendf(nil, "clusters: {default: {endpoints: [%q]}}\n", to)}}
}
