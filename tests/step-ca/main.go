// A step-ca for the tests, of the library that Debian has. usage: step-ca CA.JSON
package main

import (
	"log"
	"os"

	"github.com/smallstep/certificates/authority/config"
	"github.com/smallstep/certificates/ca"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: step-ca CA.JSON")
	}
	settings, err := config.LoadConfiguration(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	server, err := ca.New(settings, ca.WithConfigFile(os.Args[1]))
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(server.Run())
}
