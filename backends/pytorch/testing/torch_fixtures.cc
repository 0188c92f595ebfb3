// Writes the TorchScript files that pytorch_test.cc serves: torch_fixtures DIRECTORY.

#include <torch/script.h>

#include <cstdio>
#include <string>

namespace {

void Write(const std::string& directory, const std::string& name, const std::string& source) {
  torch::jit::Module module(name);
  module.define(source);
  module.save(directory + "/" + name + ".pt");
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) {
    std::fputs("usage: torch_fixtures DIRECTORY\n", stderr);
    return 1;
  }
  const std::string directory = arguments[1];
  Write(directory, "half", "def forward(self, x):\n  return (x.float() * 0.5).to(x.dtype)\n");
  Write(directory, "rows", "def forward(self, x):\n  return x.sum(0, True)\n");
  Write(directory, "named",
        "def forward(self, x, y):\n  return {'sum': x + y, 'product': x * y}\n");
  // What an allocator that has no more says.
  Write(directory, "hungry",
        "def forward(self, x):\n"
        "  assert x.size(0) <= 4, 'CUDA out of memory. Tried to allocate 1000.00 GiB'\n"
        "  return x + 1.0\n");
  Write(directory, "add_sub", "def forward(self, a, b):\n  return a + b, a - b\n");
}
