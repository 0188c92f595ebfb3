// The header fields of one message, in order, names in lower case.
//
// Text lies in one arena, so clearing and refilling a Headers object allocates nothing. Views stay
// valid until the next Add, Set or Clear. Not thread-safe.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tepal::http {

class Headers {
 public:
  struct Field {
    std::string_view name;
    std::string_view value;
  };

  // `name` is lowered as it is copied; neither is checked for characters (parsers do that).
  void Add(std::string_view name, std::string_view value);

  // Replaces every field of that name by one.
  void Set(std::string_view name, std::string_view value);
  void Remove(std::string_view name);
  void Clear();

  // The first field of that name; `name` in lower case.
  std::optional<std::string_view> Get(std::string_view name) const;
  bool Has(std::string_view name) const { return Get(name).has_value(); }

  // Whether a comma-separated field such as `connection` lists `token`, ignoring case.
  bool ListHas(std::string_view name, std::string_view token) const;

  size_t size() const { return entries_.size(); }
  bool empty() const { return entries_.empty(); }
  Field operator[](size_t index) const;

  // Sum of the lengths of names and values.
  size_t byte_size() const;

  class Iterator {
   public:
    Field operator*() const { return (*headers_)[index_]; }
    Iterator& operator++() {
      ++index_;
      return *this;
    }
    bool operator!=(const Iterator& other) const { return index_ != other.index_; }

   private:
    friend class Headers;
    Iterator(const Headers* headers, size_t index) : headers_(headers), index_(index) {}
    const Headers* headers_;
    size_t index_;
  };
  Iterator begin() const { return {this, 0}; }
  Iterator end() const { return {this, size()}; }

 private:
  struct Entry {
    uint32_t name_begin, name_size, value_begin, value_size;
  };
  std::string arena_;
  std::vector<Entry> entries_;
};

}  // namespace tepal::http
