"""What makers of bindings get from home.h: all functions, all structs, all constants.

    bindings.py pycparser DECLARATIONS                      a parser of C, in Python
    bindings.py cffi      DECLARATIONS CONSTANTS LIBRARY    Python's binding of C libraries; it is also used
    bindings.py json      TREE                              clang's syntax tree, which binding generators walk

DECLARATIONS is the preprocessed header without the system's types, CONSTANTS its #define lines.
"""
import json
import re
import sys

HEADER = open('include/home/home.h').read()
FUNCTIONS = set(re.findall(r'^HOME_API [^;(]*?(home_\w+)\(', HEADER, re.M))
STRUCTS = set(re.findall(r'^typedef struct (home_\w+)', HEADER, re.M))
CONSTANTS = set(re.findall(r'^#define (HOME_\w+) +\d', HEADER, re.M))
SYSTEM = 'typedef int int32_t; typedef unsigned uint32_t; typedef unsigned long uint64_t, size_t;\n'


def compare(what, found, expected):
    found = set(found)
    if found != expected or not expected:
        sys.exit(f'{what}: missing {sorted(expected - found)}, unexpected {sorted(found - expected)}')
    print(f'{len(found)} {what}')


def with_pycparser(declarations):
    from pycparser import c_ast, c_parser
    tree = c_parser.CParser().parse(SYSTEM + open(declarations).read())
    functions = [n.name for n in tree.ext if isinstance(n, c_ast.Decl) and isinstance(n.type, c_ast.FuncDecl)]
    structs = [n.name for n in tree.ext if isinstance(n, c_ast.Typedef)
               and isinstance(n.type, c_ast.TypeDecl) and isinstance(n.type.type, c_ast.Struct)]
    compare('functions', functions, FUNCTIONS)
    compare('structs', structs, STRUCTS)


def with_cffi(declarations, constants, library):
    import cffi
    lines = [line for line in open(constants).read().splitlines() if re.fullmatch(r'#define \w+ \d+u?', line)]
    ffi = cffi.FFI()
    ffi.cdef('\n'.join(lines) + '\n' + open(declarations).read())
    home = ffi.dlopen(library)
    names = dir(home)
    compare('functions', [n for n in names if n.startswith('home_')], FUNCTIONS)
    compare('constants', [n for n in names if n.startswith('HOME_')], CONSTANTS)
    compare('structs', [n for n in ffi.list_types()[0] if n in STRUCTS], STRUCTS)

    def check(status):
        if status != home.HOME_OK:
            sys.exit(ffi.string(error.message).decode())

    error = ffi.new('home_error *', {'struct_size': ffi.sizeof('home_error')})
    text = b'{"dense": 2, "layers": [{"width": 4}, {"width": 4}], "tasks": [{"name": "like"}]}'
    model = ffi.new('home_model **')
    check(home.home_model_create_json(text, len(text), ffi.NULL, model, error))
    batch = ffi.new('home_batch *', {'struct_size': ffi.sizeof('home_batch'), 'rows': 3})
    batch.dense = dense = ffi.new('float[6]', [0.5] * 6)
    predictions = ffi.new('float[3]')
    check(home.home_model_predict(model[0], batch, predictions, 0, ffi.NULL, error))
    if not all(0 < p < 1 for p in predictions):
        sys.exit(f'predictions {list(predictions)}')
    batch.field_count = 1
    status = home.home_model_predict(model[0], batch, predictions, 0, ffi.NULL, error)
    if status != home.HOME_E_ARGUMENT or error.status != status or b'field_count' not in ffi.string(error.message):
        sys.exit(f'status {status}: {ffi.string(error.message)}')
    home.home_model_release(model[0])


def with_json(tree):
    nodes = json.load(open(tree))['inner']
    functions = {n['name']: n for n in nodes if n['kind'] == 'FunctionDecl'}
    compare('functions', functions, FUNCTIONS)
    compare('structs', [n['name'] for n in nodes if n['kind'] == 'TypedefDecl' and n['name'] in STRUCTS], STRUCTS)
    for name, node in functions.items():
        if node.get('inline') or node.get('variadic') or any(n['kind'] == 'CompoundStmt' for n in node.get('inner', [])):
            sys.exit(f'{name} is inline or variadic')
        for parameter in node.get('inner', []):
            if parameter['kind'] == 'ParmVarDecl' and 'name' not in parameter:
                sys.exit(f'{name} has a parameter without a name')
            if parameter['type']['qualType'] in STRUCTS:
                sys.exit(f'{name} takes a struct by value')
        if re.search(r'\blong\b|\bunion\b|\benum\b|va_list', node['type']['qualType']):
            sys.exit(f'{name} has the type {node["type"]["qualType"]}')


{'pycparser': with_pycparser, 'cffi': with_cffi, 'json': with_json}[sys.argv[1]](*sys.argv[2:])
