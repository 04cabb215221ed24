/* Hostile configurations as JSON: each has its own status and its own message, which names the
 * field and what was expected; nothing stays allocated and no model appears. */
#include "faults/messages.h"
#include "test.h"
#include "unit/fixture.h"

#define CUSTOM(layer)                                                                              \
    "{\"preset\":\"custom\",\"dense\":1,\"tasks\":[{\"name\":\"a\"}],\"layers\":[{\"width\":"      \
    "1" layer "}]}"

static const struct {
    const char *from; /* replaced once in full_json; NULL: `to` is the whole text */
    const char *to;
    home_status status;
    const char *message; /* a part of it */
} faults[] = {
    {"{\"preset\"", "[\"preset\"", HOME_E_JSON,
     "line 1, column 10: expected ',' or ']', found ':'"},
    {"1e-9}}", "1e-9}", HOME_E_JSON,
     "line 1, column 1012: expected ',' or '}', found the end of the text"},
    {"1e-9}}", "1e-9}}x", HOME_E_JSON,
     "line 1, column 1013: expected nothing after the value, found 'x'"},
    {"\"seed\":1", "\"seed\":01", HOME_E_JSON, "line 1, column 26: expected ',' or '}', found '1'"},
    {"\"seed\":1", "\"seed\":nan", HOME_E_JSON, "line 1, column 25: expected null, found 'n'"},
    {"\"seed\":1", "\"seed\":1,\"seed\":1", HOME_E_JSON,
     "line 1, column 27: expected distinct keys, found \"seed\" again"},
    {"\"seed\":1", "\"seed\":-1", HOME_E_CONFIG,
     "seed is -1, expected a whole number from 0 to 18446744073709551615"},
    {"\"seed\":1", "\"seed\":1.5", HOME_E_CONFIG,
     "seed is 1.5, expected a whole number from 0 to 18446744073709551615"},
    {"\"seed\":1", "\"seed\":18446744073709551616", HOME_E_CONFIG,
     "seed is 18446744073709551616, expected a whole number from 0 to 18446744073709551615"},
    {"\"seed\":1", "\"seed\":\"1\"", HOME_E_CONFIG,
     "seed is \"1\", expected a whole number from 0 to 18446744073709551615"},
    {"\"seed\":1", "\"sead\":1", HOME_E_CONFIG, "sead: there is no key of this name"},
    {"\"home\"", "\"away\"", HOME_E_CONFIG,
     "preset is \"away\", expected \"home\", \"shared-bottom\", \"mmoe\", \"cgc\", \"ple\", "
     "\"adatt-sp\", \"adatt\" or \"custom\""},
    {"\"home\"", "0", HOME_E_CONFIG,
     "preset is 0, expected \"home\", \"shared-bottom\", \"mmoe\", \"cgc\", \"ple\", \"adatt-sp\", "
     "\"adatt\" or \"custom\""},
    {"\"dense\":5", "\"dense\":-5", HOME_E_CONFIG,
     "dense is -5, expected a whole number from 0 to 16777216"},
    {"\"dense\":5", "\"dense\":null", HOME_E_CONFIG,
     "dense is null, expected a whole number from 0 to 16777216"},
    {"\"rows\":100", "\"rows\":0", HOME_E_CONFIG,
     "tables[0].rows is 0, expected a whole number from 1"},
    {"\"rows\":100", "\"rows\":\"many\"", HOME_E_CONFIG,
     "tables[0].rows is \"many\", expected a whole number from 1"},
    {"\"dim\":3", "\"dim\":0", HOME_E_CONFIG,
     "tables[0].dim is 0, expected a whole number from 1 to 16777216"},
    {"\"hashed\"", "\"mashed\"", HOME_E_CONFIG,
     "tables[0].index is \"mashed\", expected \"direct\" or \"hashed\""},
    {"\"init_std\":0.01", "\"init_std\":-1", HOME_E_CONFIG,
     "tables[0].init_std is -1, expected a number from 0 to below 1e+06"},
    {"\"table\":\"user\"", "\"table\":\"item\"", HOME_E_CONFIG,
     "fields[0].table is \"item\", expected the name of one of \"tables\""},
    {"\"mean\"", "\"max\"", HOME_E_CONFIG,
     "fields[0].pooling is \"max\", expected \"sum\" or \"mean\""},
    {"\"pooling\"", "\"polling\"", HOME_E_CONFIG,
     "fields[0].polling: there is no key of this name"},
    {"\"name\":\"like\",", "", HOME_E_CONFIG, "tasks[0].name is missing, expected a name"},
    {"\"name\":\"like\"", "\"name\":5", HOME_E_CONFIG,
     "tasks[0].name is 5, expected a string without zero bytes"},
    {"\"name\":\"like\"", "\"name\":\"li\\u0000ke\"", HOME_E_CONFIG,
     "tasks[0].name is \"li\\u0000ke\", expected a string without zero bytes"},
    {"\"name\":\"view\"", "\"name\":\"like\"", HOME_E_CONFIG,
     "tasks[1].name is \"like\", expected a name that no other task or group has, and not "
     "\"shared\""},
    {"\"name\":\"view\"", "\"name\":\"inter\"", HOME_E_CONFIG,
     "tasks[1].name is \"inter\", expected a name that no other task or group has, and not "
     "\"shared\""},
    {"\"weight\":2", "\"weight\":-2", HOME_E_CONFIG,
     "tasks[0].weight is -2, expected a number from 0 to below 1e+30"},
    {"\"weight\":2", "\"weight\":1e999", HOME_E_JSON,
     "line 1, column 224: expected a number that fits a double, found 1e999"},
    {"\"bce\"", "\"hinge\"", HOME_E_CONFIG,
     "tasks[0].loss is \"hinge\", expected \"bce\" or \"squared\""},
    {"\"base_rate\":0.02", "\"base_rate\":2", HOME_E_CONFIG,
     "tasks[0].base_rate is 2, expected a number above 0 and below 1"},
    {"\"tasks\":[{", "\"tasks\":[7,{", HOME_E_CONFIG, "tasks[0] is 7, expected an object"},
    {"\"width\":6", "\"width\":0", HOME_E_CONFIG,
     "layers[0].width is 0, expected a whole number from 1 to 16777216"},
    {"\"width\":6", "\"width\":6.5", HOME_E_CONFIG,
     "layers[0].width is 6.5, expected a whole number from 1 to 16777216"},
    {"{\"width\":4}", "{ }", HOME_E_CONFIG,
     "layers[1].width is missing, expected a whole number from 1 to 16777216"},
    {",{\"width\":4}", "", HOME_E_CONFIG, "layers has 1 element, expected 2 for the preset home"},
    {"{\"width\":4}", "{\"width\":4},{\"width\":4}", HOME_E_CONFIG,
     "layers has 3 elements, expected 2 for the preset home"},
    {"\"hidden\":[7]", "\"hidden\":[0]", HOME_E_CONFIG,
     "layers[0].hidden[0] is 0, expected a whole number from 1 to 16777216"},
    {"\"hidden\":[7]", "\"hidden\":7", HOME_E_CONFIG,
     "layers[0].hidden is 7, expected an array of at most 16 whole numbers from 1 to 16777216"},
    {"\"hidden\":[7]", "\"hidden\":[\"7\"]", HOME_E_CONFIG,
     "layers[0].hidden[0] is \"7\", expected a whole number from 1 to 16777216"},
    {"\"shared_experts\":2", "\"shared_experts\":true", HOME_E_CONFIG,
     "layers[0].shared_experts is true, expected a whole number from 1 to 1024"},
    {"\"group_experts\":3", "\"task_experts\":2", HOME_E_CONFIG,
     "layers[0].task_experts is 2, expected 0: this layer of the preset has no such units"},
    {"\"feature_gates\":true", "\"feature_gates\":1", HOME_E_CONFIG,
     "layers[0].feature_gates is 1, expected true or false"},
    {"\"norm\":\"batch\"", "\"norm\":\"layer\"", HOME_E_CONFIG,
     "experts.norm is \"layer\", expected \"none\" or \"batch\""},
    {"\"activation\":\"swish\"", "\"activation\":\"gelu\"", HOME_E_CONFIG,
     "experts.activation is \"gelu\", expected \"relu\" or \"swish\""},
    {"\"hidden_activation\":\"relu\"", "\"hidden_activation\":2", HOME_E_CONFIG,
     "experts.hidden_activation is 2, expected \"relu\" or \"swish\""},
    {"\"bias_before_norm\":false", "\"bias_before_norm\":0", HOME_E_CONFIG,
     "experts.bias_before_norm is 0, expected true or false"},
    {"\"norm_epsilon\":1e-5", "\"norm_epsilon\":-1e-5", HOME_E_CONFIG,
     "experts.norm_epsilon is -1e-5, expected a number from 1e-30 to below 1e+06"},
    {"\"norm_momentum\":0.1", "\"norm_momentum\":2", HOME_E_CONFIG,
     "experts.norm_momentum is 2, expected a number from 0 to 1"},
    {"\"norm_momentum\":0.1", "\"norm_momentum\":1.00000005", HOME_E_CONFIG,
     "experts.norm_momentum is 1.00000005, expected a number from 0 to 1"},
    {"\"mix_first\"", "\"mix_last\"", HOME_E_CONFIG,
     "feature_gate.order is \"mix_last\", expected \"sigmoid_first\" or \"mix_first\""},
    {"\"zero\"", "\"one\"", HOME_E_CONFIG,
     "feature_gate.init is \"one\", expected \"zero\" or \"uniform\""},
    {"\"raw\"", "\"cooked\"", HOME_E_CONFIG,
     "gate.input is \"cooked\", expected \"raw\" or \"gated\""},
    {"\"on\":true", "\"on\":\"yes\"", HOME_E_CONFIG,
     "self_gate.on is \"yes\", expected true or false"},
    {"\"hidden\":[2,2]", "\"hidden\":[2,-2]", HOME_E_CONFIG,
     "self_gate.hidden[1] is -2, expected a whole number from 1 to 16777216"},
    {"\"hidden\":[16]", "\"hidden\":{}", HOME_E_CONFIG,
     "tower.hidden is {}, expected an array of at most 16 whole numbers from 1 to 16777216"},
    {"\"tower\":{", "\"tower\":[],\"x\":{", HOME_E_CONFIG, "tower is [], expected an object"},
    {"\"kind\":\"adam\"", "\"kind\":\"lion\"", HOME_E_CONFIG,
     "optimizer.kind is \"lion\", expected \"adam\", \"sgd\", \"adamw\" or \"adagrad\""},
    {"\"learning_rate\":1e-3", "\"learning_rate\":-1", HOME_E_CONFIG,
     "optimizer.learning_rate is -1, expected a number from 0 to below 1e+06"},
    {"\"beta1\":0.9", "\"beta1\":1", HOME_E_CONFIG,
     "optimizer.beta1 is 1, expected a number from 0 to below 1"},
    {"\"clip_norm\":0.5", "\"clip_norm\":-0.5", HOME_E_CONFIG,
     "optimizer.clip_norm is -0.5, expected a number from 0 to below 1e+30"},
    {"\"optimizer\":{", "\"optimizer\":{\"momentum\":1,", HOME_E_CONFIG,
     "optimizer.momentum is 1, expected a number from 0 to below 1"},
    {"\"seed\":1", "\"seed\":1e400", HOME_E_JSON,
     "line 1, column 25: expected a number that fits a double, found 1e400"},
    {"\"seed\":1", "\"seed\":[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]", HOME_E_JSON,
     "line 1, column 40: expected at most 16 levels of nesting"},
    {"\"seed\":1", "\"seed\":1,", HOME_E_JSON,
     "line 1, column 27: expected a key in quotes, found ','"},
    {"\"seed\":1", "seed:1", HOME_E_JSON, "line 1, column 18: expected a key in quotes, found 's'"},
    {"\"seed\":1", "'seed':1", HOME_E_JSON,
     "line 1, column 18: expected a key in quotes, found '''"},
    {"\"seed\":1", "\"seed\":0x10", HOME_E_JSON,
     "line 1, column 26: expected ',' or '}', found 'x'"},
    {"\"seed\":1", "\"seed\":+1", HOME_E_JSON, "line 1, column 25: expected a value, found '+'"},
    {"\"seed\":1", "\"seed\":1 // one", HOME_E_JSON,
     "line 1, column 27: expected ',' or '}', found '/'"},
    {"\"seed\":1", "\"seed\":true", HOME_E_CONFIG,
     "seed is true, expected a whole number from 0 to 18446744073709551615"},
    {"\"seed\":1", "\"seed\":{}", HOME_E_CONFIG,
     "seed is {}, expected a whole number from 0 to 18446744073709551615"},
    {"\"seed\":1", "\"s\\u0065ed\":2,\"seed\":1", HOME_E_JSON,
     "line 1, column 32: expected distinct keys, found \"seed\" again"},
    {"\"seed\":1", "\"seed\\u0000\":1", HOME_E_CONFIG, "seed: there is no key of this name"},
    {"\"seed\":1", "\"Seed\":1", HOME_E_CONFIG, "Seed: there is no key of this name"},
    {"\"seed\":1", "\"\":1", HOME_E_CONFIG, "the configuration: there is no key of this name"},
    {"\"like\"", "\"li\x80ke\"", HOME_E_JSON,
     "line 1, column 195: expected valid UTF-8, found byte 0x80"},
    {"\"like\"", "\"\\ud800\"", HOME_E_JSON,
     "line 1, column 199: expected a low surrogate, \\uDC00 to \\uDFFF, after the high one, found "
     "'\"'"},
    {"\"like\"", "\"li\nke\"", HOME_E_JSON,
     "line 1, column 195: expected an escape: control characters may not stand in a string, found "
     "byte 0x0A"},
    {"\"like\"", "\"\"", HOME_E_CONFIG, "tasks[0].name is \"\", expected a name"},
    {"\"like\"", "\"a.b\"", HOME_E_CONFIG,
     "tasks[0].name is \"a.b\", expected a name without a dot"},
    {"\"like\"", "\"shared\"", HOME_E_CONFIG,
     "tasks[0].name is \"shared\", expected a name that no other task or group has, and not "
     "\"shared\""},
    {"\"like\"", "\"li\\u0007ke\"", HOME_E_CONFIG,
     "tasks[0].name is \"li\007ke\", expected a name without control characters"},
    {"\"like\"", "null", HOME_E_CONFIG,
     "tasks[0].name is null, expected a string without zero bytes"},
    {"\"like\"",
     "\"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890"
     "1234567890"
     "12345678901234567890\"",
     HOME_E_CONFIG,
     "tasks[0].name is \"0123456789012345678901234567890123456789\", expected at most 120 bytes"},
    {"\"inter\"", "\"shared\"", HOME_E_CONFIG,
     "tasks[0].group is \"shared\", expected another name"},
    {"\"inter\"", "[]", HOME_E_CONFIG,
     "tasks[0].group is [], expected a string without zero bytes"},
    {"\"inter\"", "\"\"", HOME_E_CONFIG, "tasks[0].group is \"\", expected a name"},
#if SIZE_MAX > UINT32_MAX
    {"\"dense\":5", "\"dense\":9223372036854775808", HOME_E_CONFIG,
     "dense is 9223372036854775808, expected a whole number from 0 to 16777216"},
    {"\"dense\":5", "\"dense\":18446744073709551615", HOME_E_CONFIG,
     "dense is 18446744073709551615, expected a whole number from 0 to 16777216"},
    {"\"dim\":3", "\"dim\":18446744073709551615", HOME_E_CONFIG,
     "tables[0].dim is 18446744073709551615, expected a whole number from 1 to 16777216"},
    {"\"dim\":3", "\"dim\":16777216", HOME_E_CONFIG,
     "dense is 5 and the fields add 16777216, expected an input of width 1 to 16777216"},
    {"\"width\":6", "\"width\":18446744073709551615", HOME_E_CONFIG,
     "layers[0].width is 18446744073709551615, expected a whole number from 1 to 16777216"},
    {"\"group_experts\":3", "\"group_experts\":4294967296", HOME_E_CONFIG,
     "layers[0].group_experts is 4294967296, expected a whole number from 1 to 1024"},
#else
    {"\"dense\":5", "\"dense\":4294967296", HOME_E_CONFIG,
     "dense is 4294967296, expected a whole number from 0 to 16777216"},
    {"\"dim\":3", "\"dim\":16777216", HOME_E_TOO_LARGE,
     "tables[0]: rows x dim is 100 x 16777216, expected a table that fits memory"},
#endif
    {"\"dense\":5", "\"dense\":18446744073709551616", HOME_E_CONFIG,
     "dense is 18446744073709551616, expected a whole number from 0 to 16777216"},
    {"\"dense\":5", "\"dense\":16777217", HOME_E_CONFIG,
     "dense is 16777217, expected a whole number from 0 to 16777216"},
    {"\"dense\":5", "\"dense\":5.0", HOME_E_CONFIG,
     "dense is 5.0, expected a whole number from 0 to 16777216"},
    {"\"rows\":100", "\"rows\":18446744073709551615", HOME_E_TOO_LARGE,
     "tables[0]: rows x dim is 18446744073709551615 x 3, expected a table that fits memory"},
    {"\"rows\":100", "\"rows\":9223372036854775808", HOME_E_TOO_LARGE,
     "tables[0]: rows x dim is 9223372036854775808 x 3, expected a table that fits memory"},
    {"\"rows\":100", "\"rows\":4611686018427387903", HOME_E_TOO_LARGE,
     "tables[0]: rows x dim is 4611686018427387903 x 3, expected a table that fits memory"},
    {"\"rows\":100", "\"rows\":1.0", HOME_E_CONFIG,
     "tables[0].rows is 1.0, expected a whole number from 1"},
    {"\"dim\":3", "\"dim\":16777217", HOME_E_CONFIG,
     "tables[0].dim is 16777217, expected a whole number from 1 to 16777216"},
    {"\"init_std\":0.01", "\"init_std\":\"0.01\"", HOME_E_CONFIG,
     "tables[0].init_std is \"0.01\", expected a number from 0 to below 1e+06"},
    {"\"init_std\":0.01", "\"init_std\":1e300", HOME_E_CONFIG,
     "tables[0].init_std is 1e300, expected a number from 0 to below 1e+06"},
    {"\"name\":\"user\",\"rows\"", "\"name\":\"\",\"rows\"", HOME_E_CONFIG,
     "tables[0].name is \"\", expected a name"},
    {"\"tables\":[{", "\"tables\":[{\"name\":\"user\",\"rows\":1,\"dim\":1},{", HOME_E_CONFIG,
     "tables[1].name is \"user\", expected a name that no other table has"},
    {"\"tables\":[{", "\"tables\":{\"x\":[", HOME_E_JSON,
     "line 1, column 58: expected ',' or ']', found ':'"},
    {"\"tables\":[", "\"tables\":[null,", HOME_E_CONFIG, "tables[0] is null, expected an object"},
    {"\"fields\":[{", "\"fields\":[{\"name\":\"user\"},{", HOME_E_CONFIG,
     "fields[1].name is \"user\", expected a name that no other field has"},
    {"\"fields\":[{\"name\":\"user\",\"table\":\"user\"", "\"fields\":[{\"table\":\"user\"",
     HOME_E_CONFIG, "fields[0].name is missing, expected a name"},
    {"\"weight\":2", "\"weight\":1e30", HOME_E_CONFIG,
     "tasks[0].weight is 1e30, expected a number from 0 to below 1e+30"},
    {"\"weight\":2", "\"weight\":[2]", HOME_E_CONFIG,
     "tasks[0].weight is [2], expected a number from 0 to below 1e+30"},
    {"\"base_rate\":0.02", "\"base_rate\":0", HOME_E_CONFIG,
     "tasks[0].base_rate is 0, expected a number above 0 and below 1 (leave the key out to start "
     "at 1/2)"},
    {"\"base_rate\":0.02", "\"base_rate\":1", HOME_E_CONFIG,
     "tasks[0].base_rate is 1, expected a number above 0 and below 1"},
    {"\"loss\":\"bce\"", "\"loss\":\"squared\"", HOME_E_CONFIG,
     "tasks[0].base_rate is 0.02, expected 0 for a squared error"},
    {"\"loss\":\"bce\"", "\"loss\":\"bce\",\"given\":\"like\"", HOME_E_CONFIG,
     "tasks[0].given is \"like\", expected a task that does not depend on this one"},
    {"\"loss\":\"bce\"", "\"loss\":\"bce\",\"given\":\"nobody\"", HOME_E_CONFIG,
     "tasks[0].given is \"nobody\", expected the name of a task"},
    {"\"loss\":\"bce\"", "\"loss\":\"bce\",\"given\":5", HOME_E_CONFIG,
     "tasks[0].given is 5, expected a string without zero bytes"},
    {"\"group\":\"watch\"", "\"group\":\"watch\",\"loss\":\"squared\",\"given\":\"like\"",
     HOME_E_CONFIG, "tasks[1].given is \"like\", expected a binary task, for a binary task"},
    {"\"group\":\"watch\"", "\"group\":\"like\"", HOME_E_CONFIG,
     "tasks[0].name is \"like\", expected a name that no other task or group has, and not "
     "\"shared\""},
    {"\"layers\":[", "\"layers\":[5,", HOME_E_CONFIG, "layers[0] is 5, expected an object"},
    {"\"width\":6", "\"width\":16777217", HOME_E_CONFIG,
     "layers[0].width is 16777217, expected a whole number from 1 to 16777216"},
    {"\"hidden\":[7]", "\"hidden\":[7,16777217]", HOME_E_CONFIG,
     "layers[0].hidden[1] is 16777217, expected a whole number from 1 to 16777216"},
    {"\"hidden\":[7]", "\"hidden\":[18446744073709551616]", HOME_E_CONFIG,
     "layers[0].hidden[0] is 18446744073709551616, expected a whole number from 1 to 16777216"},
    {"\"hidden\":[7]", "\"hidden\":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", HOME_E_CONFIG,
     "layers[0].hidden has 17 elements, expected an array of at most 16 whole numbers from 1 to "
     "16777216"},
    {"\"hidden\":[7]", "\"hidden\":null", HOME_E_CONFIG,
     "layers[0].hidden is null, expected an array of at most 16 whole numbers from 1 to 16777216"},
    {"\"shared_experts\":2", "\"shared_experts\":1025", HOME_E_CONFIG,
     "layers[0].shared_experts is 1025, expected a whole number from 1 to 1024"},
    {"\"shared_experts\":2", "\"shared_experts\":-1", HOME_E_CONFIG,
     "layers[0].shared_experts is -1, expected a whole number from 1 to 1024"},
    {"\"feature_branches\":3", "\"feature_branches\":65", HOME_E_CONFIG,
     "layers[0].feature_branches is 65, expected a whole number from 1 to 64"},
    {"\"feature_rank\":2", "\"feature_rank\":16777217", HOME_E_CONFIG,
     "layers[0].feature_rank is 16777217, expected a whole number from 1 to 16777216"},
    {"\"feature_rank\":2", "\"feature_rank\":2,\"units\":[{\"name\":\"u\"}]", HOME_E_CONFIG,
     "layers[0].units has 1 element, expected 0 unless the preset is custom"},
    {"\"feature_rank\":2", "\"feature_rank\":2,\"nodes\":[{\"name\":\"inter\",\"sees\":[]}]",
     HOME_E_CONFIG, "layers[0].nodes[0].sees is empty, expected the name of at least one unit"},
    {"\"feature_rank\":2",
     "\"feature_rank\":2,\"nodes\":[{\"name\":\"inter\",\"sees\":[\"nobody\"]}]", HOME_E_CONFIG,
     "layers[0].nodes[0].sees[0] is \"nobody\", expected the name of a unit of this layer"},
    {"\"feature_rank\":2",
     "\"feature_rank\":2,\"nodes\":[{\"name\":\"nobody\",\"sees\":[\"shared\"]}]", HOME_E_CONFIG,
     "layers[0].nodes[0].name is \"nobody\", expected the name of a node of this layer"},
    {"\"feature_rank\":2",
     "\"feature_rank\":2,\"nodes\":[{\"name\":\"inter\",\"sees\":[\"shared\",\"shared\"]}]",
     HOME_E_CONFIG, "layers[0].nodes[0].sees[1] is \"shared\", expected each unit once"},
    {"\"feature_rank\":2", "\"feature_rank\":2,\"nodes\":[{\"name\":\"inter\",\"sees\":[5]}]",
     HOME_E_CONFIG, "layers[0].nodes[0].sees[0] is 5, expected a string without zero bytes"},
    {"\"feature_rank\":2",
     "\"feature_rank\":2,\"nodes\":[{\"name\":\"inter\",\"sees\":\"shared\"}]", HOME_E_CONFIG,
     "layers[0].nodes[0].sees is \"shared\", expected an array of at most 4096 names"},
    {"\"feature_rank\":2", "\"feature_rank\":2,\"nodes\":[{\"sees\":[\"shared\"]}]", HOME_E_CONFIG,
     "layers[0].nodes[0].name is missing, expected a name"},
    {"\"feature_rank\":2",
     "\"feature_rank\":2,\"nodes\":[{\"name\":\"inter\",\"sees\":[\"shared\"],\"self\":\"inter\"}]",
     HOME_E_CONFIG,
     "layers[0].nodes[0].self is set, expected only name and sees (a mask) unless the preset is "
     "custom"},
    {"\"feature_rank\":2",
     "\"feature_rank\":2,\"nodes\":[{\"name\":\"inter\",\"sees\":[\"shared\"]},{\"name\":\"inter\","
     "\"sees\":["
     "\"inter\"]}]",
     HOME_E_CONFIG,
     "layers[0].nodes[1].name is \"inter\", expected a name that no other node of the layer has"},
    {"\"feature_rank\":2",
     "\"feature_rank\":2,\"nodes\":[{\"name\":\"inter\",\"sees\":[\"shared\"],\"self_kind\":"
     "\"twin\"}]",
     HOME_E_CONFIG, "layers[0].nodes[0].self_kind is \"twin\", expected \"gate\" or \"static\""},
    {"\"experts\":{", "\"experts\":5,\"x\":{", HOME_E_CONFIG, "experts is 5, expected an object"},
    {"\"swish_beta\":1", "\"swish_beta\":0", HOME_E_CONFIG,
     "swish_beta is 0, expected a number from 1e-06 to below 1e+06"},
    {"\"swish_beta\":1", "\"swish_beta\":1e7", HOME_E_CONFIG,
     "swish_beta is 1e7, expected a number from 1e-06 to below 1e+06"},
    {"\"norm_epsilon\":1e-5", "\"norm_epsilon\":0", HOME_E_CONFIG,
     "experts.norm_epsilon is 0, expected a number from 1e-30 to below 1e+06"},
    {"\"optimizer\":{", "\"optimizer\":null,\"x\":{", HOME_E_CONFIG,
     "optimizer is null, expected an object"},
    {"\"kind\":\"adam\"", "\"kind\":\"rowwise_adagrad\"", HOME_E_CONFIG,
     "optimizer.kind is \"rowwise_adagrad\", expected \"adam\", \"sgd\", \"adamw\" or \"adagrad\""},
    {"\"embedding_kind\":\"rowwise_adagrad\"", "\"embedding_kind\":\"sgd\"", HOME_E_CONFIG,
     "optimizer.embedding_kind is \"sgd\", expected \"adam\", \"rowwise_adagrad\" or \"adagrad\""},
    {"\"learning_rate\":1e-3", "\"learning_rate\":null", HOME_E_CONFIG,
     "optimizer.learning_rate is null, expected a number from 0 to below 1e+06"},
    {"\"beta2\":0.999", "\"beta2\":2", HOME_E_CONFIG,
     "optimizer.beta2 is 2, expected a number from 0 to below 1"},
    {"\"epsilon\":1e-8", "\"epsilon\":1e7", HOME_E_CONFIG,
     "optimizer.epsilon is 1e7, expected a number from 1e-30 to below 1e+06"},
    {"\"embedding_epsilon\":1e-9", "\"embedding_epsilon\":-1", HOME_E_CONFIG,
     "optimizer.embedding_epsilon is -1, expected a number from 1e-30 to below 1e+06"},
    {"\"embedding_learning_rate\":0.02", "\"embedding_learning_rate\":1e6", HOME_E_CONFIG,
     "optimizer.embedding_learning_rate is 1e6, expected a number from 0 to below 1e+06"},
    {"{\"preset\"", "[\"x\",{\"preset\"", HOME_E_JSON,
     "line 1, column 1018: expected ',' or ']', found the end of the text"},
    {"{\"preset\"", "\xef\xbb\xbf{\"preset\"", HOME_E_JSON,
     "line 1, column 1: expected a value, found byte 0xEF"},
    {"\"home\"", "\"HOME\"", HOME_E_CONFIG,
     "preset is \"HOME\", expected \"home\", \"shared-bottom\", \"mmoe\", \"cgc\", \"ple\", "
     "\"adatt-sp\", \"adatt\" or \"custom\""},
    {"\"home\"", "\"custom\"", HOME_E_CONFIG,
     "layers[0].shared_experts is 2, expected 0: this layer of the preset has no such units"},
    {"\"home\"", "\"mmoe\"", HOME_E_CONFIG,
     "layers has 2 elements, expected 1 for the preset mmoe"},
    {"\"home\"", "\"shared-bottom\"", HOME_E_CONFIG,
     "layers has 2 elements, expected 1 for the preset shared-bottom"},
    {NULL, "", HOME_E_JSON, "line 1, column 1: expected a value, found the end of the text"},
    {NULL, "  ", HOME_E_JSON, "line 1, column 3: expected a value, found the end of the text"},
    {NULL, "{}", HOME_E_CONFIG,
     "dense is 0 and the fields add 0, expected an input of width 1 to 16777216"},
    {NULL, "[]", HOME_E_CONFIG, "the configuration is [], expected an object"},
    {NULL, "null", HOME_E_CONFIG, "the configuration is null, expected an object"},
    {NULL, "{\"dense\":1,\"tasks\":[],\"layers\":[{\"width\":1},{\"width\":1}]}", HOME_E_CONFIG,
     "tasks has 0 elements, expected 1 to 1024"},
    {NULL, "{\"dense\":1,\"tasks\":[{\"name\":\"a\"}],\"layers\":[]}", HOME_E_CONFIG,
     "layers has 0 elements, expected 2 for the preset home"},
    {NULL, CUSTOM(""), HOME_E_CONFIG,
     "layers[0].units has 0 elements, expected at least 1 for the preset custom"},
    {NULL, CUSTOM(",\"units\":[{\"name\":\"u\"}]"), HOME_E_CONFIG,
     "layers[0].nodes has 0 elements, expected at least 1 for the preset custom"},
    {NULL, CUSTOM(",\"units\":[{\"name\":\"u\"}],\"nodes\":[{\"name\":\"b\",\"sees\":[\"u\"]}]"),
     HOME_E_CONFIG, "tasks[0].name is \"a\", expected the name of a node of the last layer"},
    {NULL,
     CUSTOM(",\"units\":[{\"name\":\"u\",\"input\":\"x\"}],\"nodes\":[{\"name\":\"a\",\"sees\":["
            "\"u\"]}]"),
     HOME_E_CONFIG,
     "layers[0].units[0].input is \"x\", expected \"v\" or nothing: the first layer reads the "
     "model's input"},
    {NULL,
     CUSTOM(",\"units\":[{\"name\":\"u\",\"experts\":1025}],\"nodes\":[{\"name\":\"a\",\"sees\":["
            "\"u\"]}]"),
     HOME_E_CONFIG, "layers[0].units[0].experts is 1025, expected a whole number from 1 to 1024"},
    {NULL,
     CUSTOM(",\"units\":[{\"name\":\"u\"},{\"name\":\"u\"}],\"nodes\":[{\"name\":\"a\",\"sees\":["
            "\"u\"]}]"),
     HOME_E_CONFIG,
     "layers[0].units[1].name is \"u\", expected a name that no other unit of the layer has"},
    {NULL,
     CUSTOM(",\"units\":[{\"name\":\"u\"}],\"nodes\":[{\"name\":\"a\",\"sees\":[\"u\"],\"self\":"
            "\"w\"}]"),
     HOME_E_CONFIG, "layers[0].nodes[0].self is \"w\", expected the name of a unit of this layer"},
};

/* home_config_check_json() finds the same error, and nothing that follows from it. */
static int32_t count_error(void *user, const char *where, const home_error *found) {
    (void)where;
    (void)found;
    ++*(size_t *)user;
    return 0;
}

/* Of a text that replaces another: it is one mistake, or it was made by several. */
static size_t errors_of(const char *to) {
    static const struct {
        const char *to;
        size_t errors;
    } several[] = {
        {"\"tower\":[],\"x\":{", 2},
        {"\"experts\":5,\"x\":{", 2},
        {"\"optimizer\":null,\"x\":{", 2},
        {"\"custom\"", 6},
        {"{}", 3},
        {CUSTOM(""), 2},
    };
    for (size_t i = 0; i < sizeof several / sizeof *several; i++)
        if (strcmp(to, several[i].to) == 0)
            return several[i].errors;
    return 1;
}

static void check_all_told(const char *text, const home_error *error, size_t count) {
    home_error first = new_error();
    size_t errors = 0;
    CHECK_INTEGER(home_config_check_json(text, strlen(text), NULL, count_error, &errors, &first),
                  error->status);
    CHECK(strcmp(first.message, error->message) == 0);
    CHECK_INTEGER(errors, count);
}

static void each_fault(void) {
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        test_begin("fault %zu is refused: %s", i, faults[i].to);
        char *text = faults[i].from ? replace_first(full_json, faults[i].from, faults[i].to)
                                    : replace_first("", "", faults[i].to);
        meter m;
        const home_allocator allocator = meter_allocator(&m);
        const home_create_options options = {.struct_size = sizeof options,
                                             .allocator = &allocator};
        home_error error = new_error();
        home_model *const untouched = (home_model *)&error;
        home_model *model = untouched;
        const home_status status =
            home_model_create_json(text, strlen(text), &options, &model, &error);
        CHECK_INTEGER(status, faults[i].status);
        CHECK_INTEGER(error.status, faults[i].status);
        CHECK_CONTAINS(error.message, faults[i].message);
        CHECK(model == untouched);
        CHECK_INTEGER(m.live, 0);
        check_all_told(text, &error, errors_of(faults[i].to));
        check_own_message(error.message);
        CHECK_INTEGER(home_model_create_json(text, strlen(text), NULL, &model, NULL),
                      faults[i].status);
        free(text);
        test_end();
    }
}

/* Every beginning of a good text is bad. Each has a block of its own, so that a sanitizer sees a
 * byte read too far. */
static void every_beginning_of_a_text_is_refused(void) {
    const size_t whole = strlen(full_json);
    for (size_t length = 0; length < whole; length++) {
        char *text = malloc(length + (length == 0));
        REQUIRE(text);
        memcpy(text, full_json, length);
        home_model *model = NULL;
        CHECK_INTEGER(home_model_create_json(text, length, NULL, &model, NULL), HOME_E_JSON);
        CHECK(model == NULL);
        free(text);
    }
}

int main(void) {
    each_fault();
    RUN(every_beginning_of_a_text_is_refused);
    return test_summary();
}
