# pint, which reads the rules alone: no server is asked.
parser {
  include = ["config/prometheus/rules/.*", ".*\\.yml"]
}
