"""Every flag of the server and of `certs`: declared, parsed, validated, turned into settings."""
