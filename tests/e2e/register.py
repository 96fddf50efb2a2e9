# SPDX-License-Identifier: Apache-2.0
"""Whether what clients have seen of one place of a volume can have happened in one order.

A place (a sub-grain) is a register: each write puts a value that no other write puts, each read
finds the value of some write. The history is linearizable if each operation can be said to have
happened at one moment between its call and its answer. With values that are unique this needs no
search (Gibbons and Korach, Testing Shared Memories, 1997): take each write together with the reads
that have found its value. All of them are done at one stretch, which has to reach from the first
answer among them to the last call among them. If that is a stretch forwards in time, no other one
may overlap it; if it is one backwards, so that there is a moment at which all of them were under
way, it may not lie within one that goes forwards. And nothing is read before it is written.
"""


class Register:
    def __init__(self, origin):
        # Value -> [call of the write, answer of the write, first answer, last call] of all.
        self._of = {origin: [-1.0, -1.0, -1.0, -1.0]}

    def writing(self, value, called):
        """A write that is not answered may happen at any time from now on, or never."""
        self._of[value] = [called, float("inf"), float("inf"), called]

    def written(self, value, answered):
        cluster = self._of[value]
        cluster[1] = answered
        cluster[2] = min(cluster[2], answered)

    def read(self, value, called, answered):
        """None, or what is wrong with it."""
        cluster = self._of.get(value)
        if cluster is None:
            return f"read {value}, which nobody has written"
        if answered < cluster[0]:
            return f"read {value} before it was written"
        cluster[2] = min(cluster[2], answered)
        cluster[3] = max(cluster[3], called)
        return None

    def problems(self):
        """Of the whole history, as texts."""
        forwards, backwards, found = [], [], []
        for value, (_, _, first_answer, last_call) in self._of.items():
            if first_answer < last_call:
                forwards.append((first_answer, last_call, value))
            else:
                backwards.append((last_call, first_answer, value))
        forwards.sort()
        for (low, high, value), (next_low, next_high, next_value) in zip(forwards, forwards[1:]):
            if next_low < high:
                found.append(f"{value} is there from {low:.6f} to {high:.6f}, and {next_value} from "
                             f"{next_low:.6f} to {next_high:.6f}")
        for low, high, value in backwards:
            around = [f for f in forwards if f[0] < low and high < f[1]]
            if around:
                found.append(f"{value} happened between {low:.6f} and {high:.6f}, and "
                             f"{around[0][2]} was there from {around[0][0]:.6f} to "
                             f"{around[0][1]:.6f}")
        return found
