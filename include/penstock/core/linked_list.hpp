// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

namespace penstock {

/// Nodes in the order they came, linked through their members `previous` and `next`; any of them
/// is removed in O(1), nothing is allocated. Moving the list empties it. *Not synchronized.*
template <class Node>
class LinkedList {
 public:
  LinkedList() noexcept = default;
  LinkedList(LinkedList&& other) noexcept
      : first_(std::exchange(other.first_, nullptr)),
        last_(std::exchange(other.last_, nullptr)),
        size_(std::exchange(other.size_, 0)) {}
  LinkedList& operator=(LinkedList&& other) noexcept {
    first_ = std::exchange(other.first_, nullptr);
    last_ = std::exchange(other.last_, nullptr);
    size_ = std::exchange(other.size_, 0);
    return *this;
  }
  ~LinkedList() = default;

  [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] Node* first() const noexcept { return first_; }

  void push(Node& node) noexcept {
    node.previous = last_;
    node.next = nullptr;
    (last_ != nullptr ? last_->next : first_) = &node;
    last_ = &node;
    ++size_;
  }
  /// `node` must be in this list.
  void remove(Node& node) noexcept {
    (node.previous != nullptr ? node.previous->next : first_) = node.next;
    (node.next != nullptr ? node.next->previous : last_) = node.previous;
    --size_;
  }
  [[nodiscard]] Node* pop() noexcept {
    Node* const node = first_;
    if (node != nullptr) remove(*node);
    return node;
  }
  /// Moves all of `other` behind its own.
  void append(LinkedList other) noexcept {
    if (other.empty()) return;
    other.first_->previous = last_;
    (last_ != nullptr ? last_->next : first_) = other.first_;
    last_ = other.last_;
    size_ += other.size_;
  }
  template <class Function>
  void for_each(Function function) const noexcept(std::is_nothrow_invocable_v<Function&, Node&>) {
    for (Node *node = first_, *next = nullptr; node != nullptr; node = next) {
      next = node->next;  // the function may remove the node
      function(*node);
    }
  }

 private:
  Node* first_ = nullptr;
  Node* last_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace penstock
