#include "network/http/headers.h"

#include <algorithm>

#include "core/base/text.h"

namespace tepal::http {

namespace {

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

}  // namespace

void Headers::Add(std::string_view name, std::string_view value) {
  const size_t begin = arena_.size();
  const size_t needed = begin + name.size() + value.size();
  if (needed > arena_.capacity()) {
    arena_.reserve(std::max<size_t>({needed, 2 * arena_.capacity(), 256}));
  }
  if (entries_.capacity() == 0) entries_.reserve(8);
  arena_.append(name);
  std::transform(arena_.begin() + static_cast<ptrdiff_t>(begin), arena_.end(),
                 arena_.begin() + static_cast<ptrdiff_t>(begin), Lower);
  arena_.append(value);
  entries_.push_back({static_cast<uint32_t>(begin), static_cast<uint32_t>(name.size()),
                      static_cast<uint32_t>(begin + name.size()),
                      static_cast<uint32_t>(value.size())});
}

void Headers::Set(std::string_view name, std::string_view value) {
  Remove(name);
  Add(name, value);
}

void Headers::Remove(std::string_view name) {
  std::erase_if(entries_, [&](const Entry& entry) {
    return EqualsIgnoreCase({arena_.data() + entry.name_begin, entry.name_size}, name);
  });
}

void Headers::Clear() {
  arena_.clear();
  entries_.clear();
}

std::optional<std::string_view> Headers::Get(std::string_view name) const {
  for (const Field field : *this) {
    if (field.name == name) return field.value;
  }
  return std::nullopt;
}

bool Headers::ListHas(std::string_view name, std::string_view token) const {
  for (const Field field : *this) {
    if (field.name != name) continue;
    for (const std::string_view part : Split(field.value, ',')) {
      if (EqualsIgnoreCase(Trim(part), token)) return true;
    }
  }
  return false;
}

Headers::Field Headers::operator[](size_t index) const {
  const Entry& entry = entries_[index];
  return {{arena_.data() + entry.name_begin, entry.name_size},
          {arena_.data() + entry.value_begin, entry.value_size}};
}

size_t Headers::byte_size() const {
  size_t bytes = 0;
  for (const Entry& entry : entries_) bytes += entry.name_size + entry.value_size;
  return bytes;
}

}  // namespace tepal::http
