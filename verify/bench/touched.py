#!/usr/bin/env python3
"""Which lines of memory a packet touches: touched.py BENCH [WORDS OF BENCH …]

Runs the bench under valgrind's lackey and looks at the accesses of its last stretch. Calls whose first argument is a
TCB tell where TCBs lie, and what is told of fields is by call; accesses to other memory are told by what code makes
them, where few calls share the line. MOST=60000000 in the environment ends a long run after so many accesses.

    touched.py target/release/usertcp-bench core --only '^echo-100$' --operations 2000
    touched.py target/release/usertcp-bench pacing --raw limits --streams 100 --packets 2000

BENCH is a release build with CARGO_PROFILE_RELEASE_DEBUG=2: the names of fields come from there.
"""

import bisect
import collections
import os
import re
import subprocess
import sys

LINE = 64
# Where valgrind puts a position-independent program.
BASE = 0x108000
TCB = 'usertcp_tcp::tcb::Tcb<usertcp_cc::any::AnyController>'
# Calls that begin what is done with a connection, whose first argument is the TCB.
CALLS = ('take_answer', 'poll_message', 'poll_usual', 'handle_usual', 'poll_single')
# Accesses kept: the last of so many.
KEPT = 3_000_000
# And then it is enough.
MOST = int(os.environ.get('MOST', 100_000_000))

LAYOUT = """
import gdb
# Variants that a connection seldom is, over the same octets.
SELDOM = ('Reno', 'Fixed', 'Many', 'Spilled', 'None', 'phantom', 'alloc')
def walk(prefix, type, offset, depth):
    type = type.strip_typedefs()
    fields = type.fields() if type.code == gdb.TYPE_CODE_STRUCT else []
    fields = [f for f in fields if hasattr(f, 'bitpos') and f.name not in SELDOM]
    if depth == 0 or not fields or type.sizeof <= 1:
        print('FIELD %d %d %s' % (offset, type.sizeof, prefix))
        return
    for field in fields:
        walk(prefix + '.' + (field.name or '?'), field.type, offset + field.bitpos // 8, depth - 1)
type = gdb.lookup_type('{tcb}')
print('SIZE %d' % type.sizeof)
walk('', type, 0, 8)
"""


def layout(bench):
    script = LAYOUT.replace('{tcb}', TCB)
    path = '/tmp/touched-layout.%d.py' % os.getpid()
    with open(path, 'w') as file:
        file.write(script)
    text = subprocess.run(['gdb', '-q', '-batch', '-ex', 'set language rust', '-x', path, bench],
                          capture_output=True, text=True).stdout
    os.unlink(path)
    size = int(re.search(r'^SIZE (\d+)', text, re.M).group(1))
    fields = [(int(o), int(s), n.lstrip('.')) for o, s, n in
              re.findall(r'^FIELD (\d+) (\d+) (\S+)', text, re.M)]
    return size, sorted(fields)


def symbols(bench):
    text = subprocess.run(['nm', '-C', bench], capture_output=True, text=True).stdout
    found = sorted((int(l[:16], 16), l[19:]) for l in text.splitlines()
                   if l[17:18] in 'tTwW' and l[:1] != ' ')
    return [a for a, _ in found], [n for _, n in found]


def sources(bench, addresses):
    """Address -> the innermost places in the stack's own files."""
    wanted = sorted(addresses)
    text = subprocess.run(['addr2line', '-a', '-i', '-e', bench], capture_output=True, text=True,
                          input='\n'.join('%#x' % a for a in wanted)).stdout
    places, at = {}, None
    for line in text.splitlines():
        if line.startswith('0x'):
            at = int(line, 16)
            places[at] = []
        elif at is not None:
            short = re.sub(r' \(discriminator.*', '', line)
            if '/core/' in short and '/rustc/' not in short or '/devices/' in short or '/verify/' in short:
                places[at].append(re.sub(r'.*/(core|devices|verify)/', '', short).replace('/src/', '/'))
    return {a: ' < '.join(p[:2]) or '?' for a, p in places.items()}


def entry_registers(bench, name_to_range):
    """Of each call: the first instruction that reads or writes memory at its first argument, and how far behind."""
    found = {}
    for name, (low, high) in name_to_range.items():
        text = subprocess.run(['objdump', '-d', '--no-show-raw-insn', '--start-address=%#x' % low,
                               '--stop-address=%#x' % high, bench], capture_output=True, text=True).stdout
        holders = {'%rdi'}
        for line in text.splitlines():
            m = re.match(r'\s*([0-9a-f]+):\s+(\S+)\s*(.*)$', line)
            if not m:
                continue
            at, op, operands = int(m.group(1), 16), m.group(2), m.group(3)
            memory = re.search(r'(-?0x[0-9a-f]+)?\((%\w+)\)', operands)
            if memory and memory.group(2) in holders and op != 'lea':
                found[at + BASE] = (name, int(memory.group(1) or '0', 16))
                break
            move = re.match(r'(%r\w+),(%r\w+)$', operands)
            if op == 'mov' and move and move.group(1) in holders:
                holders.add(move.group(2))
            elif operands.split(',')[-1] in holders and op not in ('push', 'cmp', 'test'):
                holders.discard(operands.split(',')[-1])
            if op in ('jmp', 'call', 'ret'):
                break
    return found


def trace(command):
    """The last accesses: (address of the instruction, of the data, octets, writes)."""
    kept, left = collections.deque(maxlen=KEPT), MOST
    run = subprocess.Popen(['valgrind', '--tool=lackey', '--trace-mem=yes', *command],
                           stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors='replace')
    at = 0
    for line in run.stderr:
        kind = line[:2]
        if kind == 'I ':
            at = int(line[3:line.index(',')], 16)
        elif kind in (' L', ' S', ' M'):
            address, octets = line[3:].split(',')
            kept.append((at, int(address, 16), int(octets), kind != ' L'))
            left -= 1
            if left == 0:
                run.kill()
    run.wait()
    return kept


# What a line is, by the files whose code touches it; the first that fits.
CLASSES = [
    ('recent', ('stack/recent',)),
    ('demultiplexer', ('stack/demux',)),
    ('records', ('stack/anchor', 'stack/wheel.rs', 'stack/slab')),
    ('batches, pipes', ('device/batch', 'device/pipe')),
    ('frames', ('frame/raw', 'wire/')),
    ('queues', ('stack/fifo', 'stack/ready', 'stack/turns', 'stack/wheel/')),
]


def class_of(files):
    for name, starts in CLASSES:
        if any(file.startswith(starts) for file in files):
            return name
    return 'else'


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    bench, command = sys.argv[1], sys.argv[1:]
    sys.stdout.reconfigure(line_buffering=True)
    size, fields = layout(bench)
    starts, names = symbols(bench)
    ranges = {}
    for index, name in enumerate(names[:-1]):
        short = name.rsplit('::', 1)[-1]
        if short in CALLS and 'Tcb' in name:
            ranges[name] = (starts[index], starts[index + 1])
    entries = entry_registers(bench, ranges)
    kept = list(trace(command))
    # The end of the run is not the steady state: the application's end. So the middle half.
    kept = kept[len(kept) // 4:len(kept) * 3 // 4]

    bases, operations = set(), 0
    for at, address, _, _ in kept:
        if at in entries:
            bases.add(address - entries[at][1])
            operations += 1
    order = sorted(bases)

    def owner(address):
        index = bisect.bisect_right(order, address) - 1
        return order[index] if index >= 0 and address < order[index] + size else None

    # Of TCBs: each operation's lines are those touched from one call to the next of the same TCB.
    touched = collections.Counter()      # octet of the TCB -> accesses
    written = collections.Counter()
    last_call = {}
    per_field_sources = collections.defaultdict(collections.Counter)
    lines_of = collections.defaultdict(set)  # (base, visit) -> lines
    visits = collections.Counter()
    current = {}
    others = collections.defaultdict(lambda: [0, 0, collections.Counter(), set()])
    tick = 0
    for at, address, octets, writes in kept:
        if at in entries:
            base = address - entries[at][1]
            tick += 1
            current[base] = tick
            visits[entries[at][0].rsplit('::', 1)[-1]] += 1
        base = owner(address)
        if base is not None:
            for octet in range(address - base, min(address - base + octets, size)):
                touched[octet] += 1
                if writes:
                    written[octet] += 1
                per_field_sources[octet][at] += 1
            lines_of[(base, current.get(base, 0))].update(
                {address // LINE, (address + octets - 1) // LINE})
        else:
            entry = others[address // LINE]
            entry[0] += 1
            entry[2][at] += 1
            entry[3].add(tick)
    places = sources(bench, {a - BASE for o in per_field_sources.values() for a in o}
                     | {a - BASE for e in others.values() for a in e[2]})

    print('TCB: %d octets; %d TCBs, %d calls: %s' % (size, len(order), operations, dict(visits)))
    print('bases modulo 64:', dict(collections.Counter(b % LINE for b in order)))
    rounds = max(1, operations)
    sizes = [len(l) for (_, visit), l in lines_of.items() if visit]
    print('lines of a TCB from one call to its next: %.2f' % (sum(sizes) / max(1, len(sizes))))
    print('octets of a TCB ever touched: %d' % sum(1 for c in touched.values() if c > rounds / 50))
    print()
    line = None
    base_of_lines = order[0] % LINE if order else 0
    for offset, octets, name in fields:
        here = (offset + base_of_lines) // LINE
        if here != line:
            line = here
            print('-- line %d' % line)
        count = max((touched[o] for o in range(offset, offset + octets)), default=0)
        wrote = max((written[o] for o in range(offset, offset + octets)), default=0)
        where = collections.Counter()
        for octet in range(offset, offset + octets):
            for at, n in per_field_sources[octet].items():
                where[places[at - BASE].split(' < ')[0]] = max(where[places[at - BASE].split(' < ')[0]], n)
        mark = ' ' if count == 0 else ('.' if count < rounds / 50 else ('W' if wrote else 'r'))
        print('%5d %4d %s %6.2f %-44s %s' % (offset, octets, mark, count / rounds, name,
              ', '.join(w for w, _ in where.most_common(4)) if mark in 'rW' else ''))

    print('\nlines outside TCBs that a call touches and fewer than a tenth of all calls do, by what touches them:')
    classes = collections.defaultdict(lambda: [0, 0])
    for _, _, ats, ticks in others.values():
        if len(ticks) * 10 <= rounds:
            name = class_of({places[a - BASE].split(' < ')[0] for a in ats})
            classes[name][0] += len(ticks)
            classes[name][1] += 1
    for name, (visited, lines) in sorted(classes.items(), key=lambda c: -c[1][0]):
        print('%7.2f of %6d lines  %s' % (visited / rounds, lines, name))
    shared = sum(len(e[3]) for e in others.values() if len(e[3]) * 10 > rounds)
    print('%7.2f lines that many share' % (shared / rounds))


main()
