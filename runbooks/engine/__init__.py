"""What a runbook is, and the two things made of it: a page that a person follows and a run that is carried out."""
