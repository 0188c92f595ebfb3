#include "serving/client/tensor_input.h"

#include <cstring>
#include <utility>

#include "core/base/text.h"

namespace tepal::client {
namespace {

constexpr int64_t kElementsMax = int64_t{1} << 28;
constexpr uint32_t kRandomStringBytes = 16;

// Empty strings are their lengths alone.
size_t LeastBytes(const TensorDeclaration& input, int64_t elements) {
  const size_t size = input.type == DataType::kBytes ? sizeof(uint32_t) : DataTypeSize(input.type);
  return static_cast<size_t>(elements) * size;
}

template <typename T, typename Make>
void FillWith(Buffer& data, Make&& make) {
  for (size_t at = 0; at + sizeof(T) <= data.size(); at += sizeof(T)) {
    const T value = make();
    std::memcpy(data.data() + at, &value, sizeof(T));
  }
}

Buffer RandomStrings(size_t count, env::Random& random) {
  constexpr size_t kStep = sizeof(kRandomStringBytes) + kRandomStringBytes;
  Buffer data = Buffer::Allocate(count * kStep);
  for (size_t i = 0; i < count; ++i) {
    std::byte* const at = data.data() + i * kStep;
    std::memcpy(at, &kRandomStringBytes, sizeof(kRandomStringBytes));
    for (size_t letter = 0; letter < kRandomStringBytes; ++letter) {
      at[sizeof(kRandomStringBytes) + letter] = static_cast<std::byte>('a' + random.Below(26));
    }
  }
  return data;
}

void FillRandomly(DataType type, Buffer& data, env::Random& random) {
  // Sign and the highest bit of the exponent off: below 2, and finite.
  constexpr uint16_t kSmallFp16 = 0x3bff, kSmallBf16 = 0x3f7f;
  switch (type) {
    case DataType::kFp32:
      return FillWith<float>(data, [&] { return static_cast<float>(random.Unit()); });
    case DataType::kFp64:
      return FillWith<double>(data, [&] { return random.Unit(); });
    case DataType::kFp16:
      return FillWith<uint16_t>(data,
                                [&] { return static_cast<uint16_t>(random.Next() & kSmallFp16); });
    case DataType::kBf16:
      return FillWith<uint16_t>(data,
                                [&] { return static_cast<uint16_t>(random.Next() & kSmallBf16); });
    case DataType::kBool:
      return FillWith<uint8_t>(data, [&] { return static_cast<uint8_t>(random.Next() & 1); });
    default:
      return FillWith<uint8_t>(data, [&] { return static_cast<uint8_t>(random.Next()); });
  }
}

}  // namespace

Result<Shape> ShapeToSend(const TensorDeclaration& input, const Shape& wished) {
  Shape shape = wished;
  if (shape.empty()) {
    shape = input.shape;
    for (int64_t& dimension : shape) dimension = dimension < 0 ? 1 : dimension;
  } else if (!ShapeMatches(input.shape, shape)) {
    return InvalidArgument(Concat("input '", input.name, "' cannot have shape ", ShapeText(shape),
                                  "; the model declares ", ShapeText(input.shape)));
  }
  const auto elements = ElementCount(shape);
  if (!elements || *elements > kElementsMax) {
    return InvalidArgument(Concat("input '", input.name, "' with shape ", ShapeText(shape),
                                  " is too large; expected at most ", kElementsMax, " elements"));
  }
  return shape;
}

Result<InferInput> ZeroInput(const TensorDeclaration& input, const Shape& shape) {
  ASSIGN_OR_RETURN(Shape sent, ShapeToSend(input, shape));
  Buffer data = Buffer::Allocate(LeastBytes(input, *ElementCount(sent)));
  if (!data.empty()) std::memset(data.data(), 0, data.size());
  return InferInput{input.name, input.type, std::move(sent), std::move(data)};
}

Result<InferInput> RandomInput(const TensorDeclaration& input, const Shape& shape,
                               env::Random& random) {
  ASSIGN_OR_RETURN(Shape sent, ShapeToSend(input, shape));
  const int64_t elements = *ElementCount(sent);
  Buffer data;
  if (input.type == DataType::kBytes) {
    data = RandomStrings(static_cast<size_t>(elements), random);
  } else {
    data = Buffer::Allocate(LeastBytes(input, elements));
    FillRandomly(input.type, data, random);
  }
  return InferInput{input.name, input.type, std::move(sent), std::move(data)};
}

Result<InferInput> BytesInput(const TensorDeclaration& input, const Shape& shape,
                              std::string_view bytes) {
  ASSIGN_OR_RETURN(Shape sent, ShapeToSend(input, shape));
  const size_t needed = LeastBytes(input, *ElementCount(sent));
  const bool exact = input.type != DataType::kBytes;
  if (exact ? bytes.size() != needed : bytes.size() < needed) {
    return InvalidArgument(Concat("input '", input.name, "' ", DataTypeName(input.type), " ",
                                  ShapeText(sent), ": got ", bytes.size(), " bytes, expected ",
                                  exact ? "" : "at least ", needed));
  }
  return InferInput{input.name, input.type, std::move(sent), Buffer::Copy(bytes)};
}

}  // namespace tepal::client
