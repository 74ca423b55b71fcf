"""How to watch a rollout and stop it.

Contract: what is shown comes from the journal alone, by the same `fold` as everywhere; what is asked for is a row of the journal's
request table, as the commands write it. Nothing here knows a driver, a vendor or the engine, and closing it changes nothing.

    journal --feed (a thread)--> history --follower: fold--> snapshot --paint--> panels and map
    person --key--> control: proposal --dialog--> desk: request --> journal
"""
