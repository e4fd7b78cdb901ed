-- Accuracy on the training images over the iterations just before; of earlier runs not known.
ALTER TABLE training_points ADD COLUMN training_accuracy double precision;
