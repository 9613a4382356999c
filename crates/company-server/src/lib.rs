//! The company server [10]: keeps the customer master [120].
