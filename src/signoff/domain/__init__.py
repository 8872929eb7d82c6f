"""What a sign-off is: actions, policy, requests, the journal and the ledger.

Pure functions and frozen data; time and ids arrive as arguments.
"""
