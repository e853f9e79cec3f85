# pint reads the rules alone here: no server is asked.
checks {
  # Some series exist only while something is amiss, such as sweep_failure_info: that they are there is the condition. That
  # each alert has a case in which it does not fire, the rules' own tests see to.
  disabled = ["alerts/comparison"]
}
