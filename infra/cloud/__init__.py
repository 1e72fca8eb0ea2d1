"""The production place on AWS: the Pulumi program, its settings, its policies and its rehearsal."""
