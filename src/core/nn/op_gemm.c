/*
 * op_gemm.c: plain Gemm and MatMul.
 *
 * Rows of the result are accumulated as sums of scaled rows of B (in rising
 * k), which reads memory in order; where B is transposed, as dot products.
 */
#include "core/nn/op_table.h"

/* One product: a [m, k], b [k, n], c [m, n], each with its strides between
 * rows and columns in elements. */
typedef struct Product
{
	size_t m, n, k;
	size_t a_row, a_column, b_row, b_column;
} Product;

static FrStatus
fail_fit(const FrNode *node, const FrTensor *const *inputs, FrError *error)
{
	char a[96], b[96];

	return fr_node_fail(error, FR_ERR_MISMATCH, node,
						"Shapes %s and %s do not fit together.",
						fr_shape_text(&inputs[0]->shape, a, sizeof a),
						fr_shape_text(&inputs[1]->shape, b, sizeof b));
}

/* c = a * b; false when cancelled. */
static bool
multiply(const Product *product, const float *a, const float *b,
		 float *restrict c, FrPoll *poll)
{
	for (size_t i = 0; i < product->m; i++)
	{
		float *row = c + i * product->n;

		for (size_t j = 0; j < product->n; j++)
			row[j] = 0.0f;
		if (fr_poll(poll, product->n + 8))
			return false;
		for (size_t k = 0; k < product->k && product->b_column == 1; k++)
		{
			float scale = a[i * product->a_row + k * product->a_column];
			const float *b_row = b + k * product->b_row;

			for (size_t j = 0; j < product->n; j++)
				row[j] += scale * b_row[j];
			if (fr_poll(poll, product->n + 8))
				return false;
		}
		for (size_t j = 0; j < product->n && product->b_column != 1; j++)
		{
			const float *a_row = a + i * product->a_row;
			const float *b_column = b + j * product->b_column;
			float sum = 0.0f;

			for (size_t k = 0; k < product->k; k++)
				sum +=
					a_row[k * product->a_column] * b_column[k * product->b_row];
			row[j] = sum;
			if (fr_poll(poll, product->k + 8))
				return false;
		}
	}
	return true;
}

static FrStatus
gemm_product(const FrNode *node, const FrTensor *const *inputs,
			 Product *product, FrError *error)
{
	const FrShape *a = &inputs[0]->shape, *b = &inputs[1]->shape;
	bool is_a_transposed = node->u.gemm.is_a_transposed;
	bool is_b_transposed = node->u.gemm.is_b_transposed;

	if (a->rank != 2 || b->rank != 2 ||
		a->dims[!is_a_transposed] != b->dims[is_b_transposed])
		return fail_fit(node, inputs, error);
	product->m = (size_t) a->dims[is_a_transposed];
	product->k = (size_t) a->dims[!is_a_transposed];
	product->n = (size_t) b->dims[!is_b_transposed];
	product->a_row = is_a_transposed ? 1 : product->k;
	product->a_column = is_a_transposed ? product->m : 1;
	product->b_row = is_b_transposed ? 1 : product->n;
	product->b_column = is_b_transposed ? product->k : 1;
	return FR_OK;
}

FR_DECLARE_INFER(gemm)
{
	Product product;
	FrShape joined;
	FrStatus status = gemm_product(node, inputs, &product, error);

	if (status != FR_OK)
		return status;
	outputs[0].shape = (FrShape){2, {(int64_t) product.m, (int64_t) product.n}};
	if (node->input_count > 2 && inputs[2] &&
		(!fr_shape_broadcast(&outputs[0].shape, &inputs[2]->shape, &joined) ||
		 !fr_shape_equal(&joined, &outputs[0].shape)))
		return fr_node_fail(error, FR_ERR_MISMATCH, node,
							"The added matrix does not fit the product.");
	return fr_check_floats(node, inputs, error);
}

FR_DECLARE_RUN(gemm)
{
	Product product;
	FrStatus status = gemm_product(node, inputs, &product, error);
	FrPoll poll = fr_poll_begin(cancel);
	float *output = outputs[0].data;
	float alpha = node->u.gemm.alpha, beta = node->u.gemm.beta;
	const float *added = NULL;
	size_t strides[FR_MAX_RANK] = {0};

	if (status != FR_OK)
		return status;
	if (!multiply(&product, inputs[0]->data, inputs[1]->data, output, &poll))
		return fr_fail_cancelled(error);
	if (node->input_count > 2 && inputs[2])
	{
		added = inputs[2]->data;
		fr_broadcast_strides(&inputs[2]->shape, 2, strides);
	}
	for (size_t i = 0; i < product.m; i++)
	{
		for (size_t j = 0; j < product.n; j++)
		{
			float value = alpha * output[i * product.n + j];

			if (added)
				value += beta * added[i * strides[0] + j * strides[1]];
			output[i * product.n + j] = value;
		}
		if (fr_poll(&poll, product.n))
			return fr_fail_cancelled(error);
	}
	return FR_OK;
}

/* MatMul's view of a shape: [batch dimensions ..., rows, columns], where a
 * vector is a row (left) or a column (right). */
static FrShape
as_matrix(const FrShape *shape, bool is_left)
{
	if (shape->rank != 1)
		return *shape;
	return is_left ? (FrShape){2, {1, shape->dims[0]}}
				   : (FrShape){2, {shape->dims[0], 1}};
}

/* Split two shapes into the product of their last two dimensions and the
 * broadcast batch dimensions. */
static FrStatus
matmul_product(const FrNode *node, const FrTensor *const *inputs,
			   Product *product, FrShape *batch, FrError *error)
{
	FrShape a = as_matrix(&inputs[0]->shape, true);
	FrShape b = as_matrix(&inputs[1]->shape, false);

	if (a.rank < 2 || b.rank < 2 || a.dims[a.rank - 1] != b.dims[b.rank - 2])
		return fail_fit(node, inputs, error);
	product->m = (size_t) a.dims[a.rank - 2];
	product->k = (size_t) a.dims[a.rank - 1];
	product->n = (size_t) b.dims[b.rank - 1];
	product->a_row = product->k;
	product->a_column = 1;
	product->b_row = product->n;
	product->b_column = 1;
	a.rank -= 2;
	b.rank -= 2;
	if (!fr_shape_broadcast(&a, &b, batch))
		return fail_fit(node, inputs, error);
	return FR_OK;
}

FR_DECLARE_INFER(matmul)
{
	Product product;
	FrShape batch;
	FrStatus status = matmul_product(node, inputs, &product, &batch, error);

	if (status != FR_OK)
		return status;
	if (inputs[0]->shape.rank > 1)
		batch.dims[batch.rank++] = (int64_t) product.m;
	if (inputs[1]->shape.rank > 1)
		batch.dims[batch.rank++] = (int64_t) product.n;
	outputs[0].shape = batch;
	return fr_check_floats(node, inputs, error);
}

FR_DECLARE_RUN(matmul)
{
	Product product;
	FrShape batch;
	FrStatus status = matmul_product(node, inputs, &product, &batch, error);
	FrShape a = as_matrix(&inputs[0]->shape, true);
	FrShape b = as_matrix(&inputs[1]->shape, false);
	size_t a_strides[FR_MAX_RANK], b_strides[FR_MAX_RANK];
	FrPoll poll = fr_poll_begin(cancel);
	float *output = outputs[0].data;

	if (status != FR_OK)
		return status;
	a.rank -= 2;
	b.rank -= 2;
	fr_broadcast_strides(&a, batch.rank, a_strides);
	fr_broadcast_strides(&b, batch.rank, b_strides);
	for (size_t i = 0, count = fr_shape_span(&batch, 0, batch.rank); i < count;
		 i++)
	{
		size_t rest = i, a_index = 0, b_index = 0;

		for (int d = batch.rank - 1; d >= 0; d--)
		{
			size_t at = rest % (size_t) batch.dims[d];

			rest /= (size_t) batch.dims[d];
			a_index += at * a_strides[d];
			b_index += at * b_strides[d];
		}
		if (!multiply(&product,
					  (const float *) inputs[0]->data +
						  a_index * product.m * product.k,
					  (const float *) inputs[1]->data +
						  b_index * product.k * product.n,
					  output + i * product.m * product.n, &poll))
			return fr_fail_cancelled(error);
	}
	return FR_OK;
}
