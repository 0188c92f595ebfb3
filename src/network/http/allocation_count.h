// Counts what a benchmark allocates, by taking the place of the global operator new. For the one
// source file of a program without threads; never for production code.

#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>

namespace {
size_t allocations = 0;
}

void* operator new(size_t size) {
  ++allocations;
  return std::malloc(size);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
