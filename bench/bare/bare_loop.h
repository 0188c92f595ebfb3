// The loop that a server is compared with: one library, one model, one batch of tensors, again and
// again, and nothing else.
//
// Says "ready" and the results of the batch's first row, then reads how many executions to do from
// each line of standard input and answers it with "<seconds> <CPU seconds>". The CPU time is that
// of the whole process.

#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace tepal_bench {

// What the flower models take and give.
constexpr int64_t kRowShape[] = {3, 224, 224};
constexpr size_t kRowFloats = 3 * 224 * 224;
constexpr size_t kRowResults = 5;

struct BareOptions {
  std::string model, input;  // Files; the input holds float32 rows, those of the batch first.
  int64_t rows = 1;          // Of a batch.
  int threads = 1;           // Within an operator.
};

// `arguments`: MODEL INPUT ROWS THREADS. Ends the program with a usage line when they are others.
BareOptions ReadOptions(int count, char** arguments, int first);

// The first rows of the input file. Throws std::runtime_error when it has less.
std::vector<float> ReadInput(const BareOptions& options);

// `execute` runs the batch once and returns where its results are. Returns the exit status.
int ServeLoop(const std::function<const float*()>& execute);

}  // namespace tepal_bench
