// RUN: cimc opt %s -p 'normalise-quantised,canonicalize' | filecheck %s
// A product of integers becomes one of floats between roundings.

// CHECK-NOT: QLinearMatMul
// CHECK: onnx.node "MatMul"({{.*}}) marks {helper} : (tensor<?x2xf32>, tensor<2x2xf32>) -> tensor<?x2xf32>
// CHECK-NEXT: onnx.node "QuantizeLinear"
builtin.module attributes {onnx.opset = [":18", "com.microsoft:1"]} {
  func.func @main(%x: tensor<?x2xf32>) -> (tensor<?x2xf32>) attributes {onnx.inputs = ["x"], onnx.outputs = ["y"], onnx.dims = [["batch", "2"]]} {
    %s = onnx.constant dense<0.5> : tensor<f32> : tensor<f32>
    %z = onnx.constant dense<0> : tensor<ui8> : tensor<ui8>
    %w = onnx.constant dense<[[1, 2], [3, 4]]> : tensor<2x2xui8> : tensor<2x2xui8>
    %q = onnx.node "QuantizeLinear"(%x, %s, %z) : (tensor<?x2xf32>, tensor<f32>, tensor<ui8>) -> tensor<?x2xui8>
    %p = onnx.node "QLinearMatMul"(%q, %s, %z, %w, %s, %z, %s, %z) : (tensor<?x2xui8>, tensor<f32>, tensor<ui8>, tensor<2x2xui8>, tensor<f32>, tensor<ui8>, tensor<f32>, tensor<ui8>) -> tensor<?x2xui8>
    %y = onnx.node "DequantizeLinear"(%p, %s, %z) : (tensor<?x2xui8>, tensor<f32>, tensor<ui8>) -> tensor<?x2xf32>
    func.return %y : tensor<?x2xf32>
  }
}
