"""The agent's capture tried out on this host's own kernel, in private namespaces.

A *place* is a namespace with one TUN device. Between a client's and a server's place the *relay*
loses, delays, doubles and cuts packets by a seeded plan, so that both kernels' TCP has to mend it.
Client and server log what they *understood*; the tap on the server's device is attached as in
production, and the *judge* holds what was rebuilt from its records against their logs.
"""
