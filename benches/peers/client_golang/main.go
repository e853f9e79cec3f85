// Serves the families of a metrics page with client_golang: gauges and counters that stand still, gathered and encoded at
// each scrape. Prints its address.
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

func main() {
	page, err := os.Open(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	var parser expfmt.TextParser
	families, err := parser.TextToMetricFamilies(page)
	if err != nil {
		log.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	for name, family := range families {
		if len(family.Metric) == 0 || family.GetType() == dto.MetricType_HISTOGRAM {
			continue
		}
		var names []string
		for _, pair := range family.Metric[0].Label {
			names = append(names, pair.GetName())
		}
		vector := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: family.GetHelp()}, names)
		registry.MustRegister(vector)
		for _, metric := range family.Metric {
			labels := prometheus.Labels{}
			for _, pair := range metric.Label {
				labels[pair.GetName()] = pair.GetValue()
			}
			vector.With(labels).Set(metric.GetGauge().GetValue() + metric.GetCounter().GetValue())
		}
	}
	families = nil
	http.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr())
	log.Fatal(http.Serve(listener, nil))
}
