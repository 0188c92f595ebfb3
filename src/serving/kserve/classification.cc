#include "serving/kserve/classification.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include "core/base/text.h"
#include "serving/kserve/byte_writer.h"

namespace tepal::kserve {
namespace {

struct Rows {
  size_t count = 1;     // Of rows.
  size_t elements = 1;  // Of each row.
};

template <typename T>
void WriteRow(ByteWriter& out, const char* row, size_t elements, size_t best,
              std::string_view output, ClassLabels& labels) {
  const auto value = [row](size_t index) {
    T element;
    std::memcpy(&element, row + index * sizeof(T), sizeof(T));
    return element;
  };
  std::vector<size_t> order(elements);
  std::iota(order.begin(), order.end(), 0);
  // NaN compares with nothing, so it must not decide: it goes last.
  const auto better = [&value](size_t a, size_t b) {
    const T x = value(a), y = value(b);
    const bool x_nan = x != x, y_nan = y != y;
    if (x_nan || y_nan) return x_nan == y_nan ? a < b : y_nan;
    return x == y ? a < b : x > y;
  };
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(best), order.end(),
                    better);
  for (size_t rank = 0; rank < best; ++rank) {
    const size_t index = order[rank];
    std::string text = std::to_string(value(index));
    text += ':';
    text += std::to_string(index);
    if (const std::string_view label = labels ? labels(output, index) : std::string_view();
        !label.empty()) {
      text += ':';
      text += label;
    }
    const auto size = static_cast<uint32_t>(text.size());
    out.Append({reinterpret_cast<const char*>(&size), sizeof(size)});
    out.Append(text);
  }
}

using RowWriter = void (*)(ByteWriter&, const char*, size_t, size_t, std::string_view,
                           ClassLabels&);

RowWriter WriterFor(DataType type) {
  switch (type) {
    case DataType::kUint8:
      return WriteRow<uint8_t>;
    case DataType::kUint16:
      return WriteRow<uint16_t>;
    case DataType::kUint32:
      return WriteRow<uint32_t>;
    case DataType::kUint64:
      return WriteRow<uint64_t>;
    case DataType::kInt8:
      return WriteRow<int8_t>;
    case DataType::kInt16:
      return WriteRow<int16_t>;
    case DataType::kInt32:
      return WriteRow<int32_t>;
    case DataType::kInt64:
      return WriteRow<int64_t>;
    case DataType::kFp32:
      return WriteRow<float>;
    case DataType::kFp64:
      return WriteRow<double>;
    default:
      return nullptr;
  }
}

}  // namespace

Result<OutputTensor> Classify(const OutputTensor& output, uint64_t classes, bool batched,
                              ClassLabels& labels) {
  const RowWriter write_row = WriterFor(output.type);
  if (write_row == nullptr) {
    return InvalidArgument(Concat("class result not available for output due to unsupported type '",
                                  DataTypeName(output.type), "'"));
  }
  const std::optional<int64_t> total = ElementCount(output.shape);
  if (!total.has_value() ||
      static_cast<size_t>(*total) != output.data.size() / DataTypeSize(output.type)) {
    return Internal(
        Concat("output tensor shape does not match size of output for '", output.name, "'"));
  }
  Rows rows;
  if (batched && !output.shape.empty()) rows.count = static_cast<size_t>(output.shape.front());
  rows.elements = rows.count == 0 ? 0 : static_cast<size_t>(*total) / rows.count;
  const size_t best = std::min<uint64_t>(classes, rows.elements);

  constexpr size_t kClassBytesExpected = 32;
  ByteWriter out(rows.count * best * kClassBytesExpected);
  const size_t row_bytes = rows.elements * DataTypeSize(output.type);
  for (size_t row = 0; row < rows.count; ++row) {
    write_row(out, output.data.text().data() + row * row_bytes, rows.elements, best, output.name,
              labels);
  }

  OutputTensor classified;
  classified.name = output.name;
  classified.type = DataType::kBytes;
  if (batched && !output.shape.empty()) {
    classified.shape.push_back(static_cast<int64_t>(rows.count));
  }
  classified.shape.push_back(static_cast<int64_t>(best));
  classified.data = out.Take();
  return classified;
}

}  // namespace tepal::kserve
