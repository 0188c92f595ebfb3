// A tensor's elements as a JSON array, both ways.

#pragma once

#include <cstdint>
#include <string_view>

#include "core/base/result.h"
#include "serving/kserve/byte_writer.h"
#include "serving/kserve/json_scanner.h"
#include "serving/tensor/data_type.h"

namespace tepal::kserve {

// Reads the array that begins at `scanner` (flat or nested) as `count` elements of `type`, each
// converted once, into a slab of its own. Any number of BYTES elements is taken: server_core counts
// them. An integer that does not fit its type is an error (Triton lets it wrap); a real number for
// an integer type is one too. Errors are kInvalidArgument in Triton's words and name the input
// where its words do not suffice. When scanner.failed(), the text itself is wrong.
Result<Buffer> ReadTensor(JsonScanner& scanner, std::string_view input, DataType type,
                          int64_t count);

// Writes "[1.0,2.0]": integers as they are, reals in the shortest form that reads back as the same
// number and never without a point or an exponent, NaN and infinities bare. `data` must hold
// `count` elements (kInternal otherwise).
Status WriteTensor(ByteWriter& out, std::string_view output, DataType type, size_t count,
                   std::string_view data);

// One real number, likewise.
void AppendNumber(ByteWriter& out, double value);

}  // namespace tepal::kserve
