// Saves what onnx_source.py wrote as a TorchScript file: torchscript_file DIRECTORY OUT.pt

#include <torch/script.h>

#include <cstdio>
#include <exception>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace {

void Convert(const std::string& directory, const std::string& target) {
  torch::jit::Module module("Network");
  std::ifstream list(directory + "/weights.txt");
  std::ifstream method(directory + "/source.txt");
  if (!list || !method) throw std::runtime_error("no weights.txt and source.txt in " + directory);
  std::ifstream values(directory + "/weights.bin", std::ios::binary);
  for (std::string line; std::getline(list, line);) {
    std::istringstream fields(line);
    std::string name;
    fields >> name;
    std::vector<int64_t> shape;
    for (int64_t length = 0; fields >> length;) shape.push_back(length);
    const at::Tensor weight = at::empty(shape, at::kFloat);
    const auto size = static_cast<std::streamsize>(weight.nbytes());
    if (!values.read(static_cast<char*>(weight.data_ptr()), size)) {
      throw std::runtime_error("weights.bin ends within " + name);
    }
    module.register_buffer(name, weight);
  }
  std::ostringstream source;
  source << method.rdbuf();
  module.define(source.str());
  module.save(target);
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) {
    std::fputs("usage: torchscript_file DIRECTORY OUT.pt\n", stderr);
    return 2;
  }
  try {
    Convert(arguments[1], arguments[2]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "torchscript_file: %s\n", error.what());
    return 1;
  }
  return 0;
}
