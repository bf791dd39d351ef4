// CoreDNS with the few of its plugins that a cluster without a way out needs: the others bring the clients of three clouds.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/hosts"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/template"
)

func init() {
	// In the order in which they see a question.
	dnsserver.Directives = []string{"bind", "errors", "hosts", "kubernetes", "template"}
}

func main() { coremain.Run() }
