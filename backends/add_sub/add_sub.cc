// The add_sub backend: OUTPUT0 = INPUT0 + INPUT1, OUTPUT1 = INPUT0 - INPUT1, element by element,
// for integers of every width (they wrap around) and for FP32 and FP64. Batching or not.

#include <type_traits>

#include "backends/sugar/plugin.h"

namespace tepal_plugin {
namespace {

// Wraps instead of overflowing, and does not trust the alignment of a request's bytes.
template <typename Number>
void Apply(const std::byte* a, const std::byte* b, std::byte* out, size_t count, bool add) {
  using Wide = typename std::conditional_t<std::is_integral_v<Number>, std::make_unsigned<uint64_t>,
                                           std::type_identity<Number>>::type;
  for (size_t i = 0; i < count; ++i) {
    Number x;
    Number y;
    std::memcpy(&x, a + i * sizeof(Number), sizeof(Number));
    std::memcpy(&y, b + i * sizeof(Number), sizeof(Number));
    const auto wide_x = static_cast<Wide>(x);
    const auto wide_y = static_cast<Wide>(y);
    const auto result = static_cast<Number>(add ? wide_x + wide_y : wide_x - wide_y);
    std::memcpy(out + i * sizeof(Number), &result, sizeof(Number));
  }
}

using Operation = void (*)(const std::byte*, const std::byte*, std::byte*, size_t, bool);

Operation OperationFor(TRITONSERVER_DataType type) {
  switch (type) {
    case TRITONSERVER_TYPE_UINT8:
      return Apply<uint8_t>;
    case TRITONSERVER_TYPE_UINT16:
      return Apply<uint16_t>;
    case TRITONSERVER_TYPE_UINT32:
      return Apply<uint32_t>;
    case TRITONSERVER_TYPE_UINT64:
      return Apply<uint64_t>;
    case TRITONSERVER_TYPE_INT8:
      return Apply<int8_t>;
    case TRITONSERVER_TYPE_INT16:
      return Apply<int16_t>;
    case TRITONSERVER_TYPE_INT32:
      return Apply<int32_t>;
    case TRITONSERVER_TYPE_INT64:
      return Apply<int64_t>;
    case TRITONSERVER_TYPE_FP32:
      return Apply<float>;
    case TRITONSERVER_TYPE_FP64:
      return Apply<double>;
    default:
      return nullptr;
  }
}

// The whole input in one piece; `copy` holds it when the server has it in several.
Error* Whole(const Input& input, std::vector<std::byte>& copy, const std::byte*& data) {
  if (input.buffer_count == 1) {
    std::span<const std::byte> part;
    TEPAL_RETURN_IF_ERROR(input.Part(0, part));
    data = part.data();
    return nullptr;
  }
  copy.resize(input.byte_size);
  data = copy.data();
  return input.CopyTo(copy.data());
}

class AddSub : public Model {
 public:
  explicit AddSub(ModelFacts facts) : facts_(std::move(facts)) {}

  void Execute(TRITONBACKEND_ModelInstance* /*instance*/, RequestBatch batch) override {
    batch.AnswerEach(facts_.batches(), Times(), [&](Request request, Response& response) {
      return Answer(request, response);
    });
  }
  uint64_t traits() const override { return TEPAL_BACKEND_INLINE; }

 private:
  Error* Answer(Request request, Response& response) const {
    Input a;
    Input b;
    TEPAL_RETURN_IF_ERROR(request.FindInput("INPUT0", a));
    TEPAL_RETURN_IF_ERROR(request.FindInput("INPUT1", b));
    if (a.type != b.type || a.byte_size != b.byte_size) {
      return InvalidArgument("model '" + facts_.name + "': INPUT0 is " +
                             TRITONSERVER_DataTypeString(a.type) + ShapeText(a.shape) +
                             ", INPUT1 is " + TRITONSERVER_DataTypeString(b.type) +
                             ShapeText(b.shape) + "; they must be alike");
    }
    const Operation operation = OperationFor(a.type);
    if (operation == nullptr) {
      return InvalidArgument("model '" + facts_.name + "': cannot add elements of type " +
                             TRITONSERVER_DataTypeString(a.type));
    }
    std::vector<std::byte> copy_a;
    std::vector<std::byte> copy_b;
    const std::byte* data_a = nullptr;
    const std::byte* data_b = nullptr;
    TEPAL_RETURN_IF_ERROR(Whole(a, copy_a, data_a));
    TEPAL_RETURN_IF_ERROR(Whole(b, copy_b, data_b));
    const size_t count = a.byte_size / TRITONSERVER_DataTypeByteSize(a.type);
    for (const bool add : {true, false}) {
      const char* name = add ? "OUTPUT0" : "OUTPUT1";
      if (!request.Wants(name)) continue;
      std::byte* out = nullptr;
      TEPAL_RETURN_IF_ERROR(response.AddOutput(name, a.type, a.shape, a.byte_size, out));
      operation(data_a, data_b, out, count, add);
    }
    return nullptr;
  }

  ModelFacts facts_;
};

Error* Make(TRITONBACKEND_Model* /*model*/, ModelFacts facts, std::unique_ptr<Model>& made) {
  made = std::make_unique<AddSub>(std::move(facts));
  return nullptr;
}

}  // namespace
}  // namespace tepal_plugin

TEPAL_PLUGIN(tepal_plugin::Make)
