-- Tables, networks and photos of the demo; :models and :photos are files for COPY.
SET client_min_messages = warning;
CREATE EXTENSION facerec;

CREATE TEMP TABLE network (file text, weights bytea);
\set copy_models '\\copy network FROM ' :'models'
:copy_models
SELECT face_model_load('yunet', weights, 'yunet', license => 'Apache-2.0') AS detector
FROM network WHERE file = 'yunet_n_dynamic.onnx' \gset
SELECT face_model_load('mobilefacenet', weights, 'mobilefacenet', '{"detector": "yunet"}', license => 'MIT') AS embedder
FROM network WHERE file = 'mobilefacenet-128.onnx' \gset
\echo 'detector' :detector
\echo 'embedder' :embedder
ALTER DATABASE facerec_demo SET facerec.detector = 'yunet';
ALTER DATABASE facerec_demo SET facerec.embedder = 'mobilefacenet';

CREATE TABLE photo (file text PRIMARY KEY, data bytea NOT NULL);
ALTER TABLE photo ALTER COLUMN data SET STORAGE EXTERNAL;
\set copy_photos '\\copy photo FROM ' :'photos'
:copy_photos

-- A portrait's name says who it shows: 01-suyeri-3.jpg
CREATE TABLE face (
  file text PRIMARY KEY REFERENCES photo,
  person text NOT NULL,
  embedding faceembedding);
