"""What no resource of a stack may be: `pulumi up --policy-pack infra/cloud/policies`; rehearsals ask it too."""
